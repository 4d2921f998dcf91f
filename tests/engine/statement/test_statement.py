"""`diagnose` on planted extensions: each defect by its code and place, clean twins silent; nothing takes it down."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import pytest
from statement_asker import SETUP, Asker

from tutor.core.diagnosis import NativeFinding
from tutor.core.finding import Severity

# function -> (code, type, per call, argument)
CASES: dict[str, tuple[str, str, float | None, str]] = {
    "append_leak": ("ref-leak", "float", 4, "C()"),
    "new_leak": ("ref-leak", "dict", 1, "C()"),
    "text_leak": ("ref-leak", "str", 1, "C()"),
    "argument_leak": ("ref-leak", "C", 1, "C()"),
    "over_release": ("ref-underflow", "C", -1, "[C(), C()]"),
    "borrowed_result": ("borrowed-return", "C", -1, "[C(), C()]"),
    "borrowed_item": ("borrowed-return", "C", -1, "[C()]"),
    "borrow_across_change": ("use-after-free", "C", None, "[C(), C()]"),
    "malloc_leak": ("memory-leak", "", 8000, "2.5"),
    "small_leak": ("memory-leak", "", 24, "C()"),
    "pymem_leak": ("memory-leak", "", 300, "C()"),
    "past_a_block": ("out-of-bounds", "", None, "C()"),
    "past_a_pymem_block": ("out-of-bounds", "", None, "C()"),
    "past_an_object": ("out-of-bounds", "bytes", None, "C()"),
    "buffer_kept": ("buffer-not-released", "bytearray", 1, "bytearray(8)"),
    "past_the_end": ("out-of-bounds", "", None, "__import__('array').array('d', [1.5] * 5)"),
    "gil_missing": ("gil-missing", "", None, "C()"),
    "null_without_exception": ("exception-contract", "", None, "C()"),
    "null_with_traceback": ("exception-contract", "", None, "C()"),
    "result_with_exception": ("exception-contract", "", None, "'no number'"),
}
# What the optimiser makes of them leaves no more than the function; of the last three there is no more to know.
BY_FUNCTION = {
    "past_the_end",
    "borrowed_result",
    "null_without_exception",
    "null_with_traceback",
    "result_with_exception",
}


def one(found: tuple[NativeFinding, ...]) -> NativeFinding:
    (finding,) = found
    return finding


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_defect_is_named_with_its_line(asker: Asker, marked: Callable[[str], int], name: str) -> None:
    code, kind, per_call, argument = CASES[name]
    found = one(asker(f"defects.{name}({argument})").findings)
    assert (found.finding.code, found.finding.type) == (code, kind), found
    assert found.finding.per_call == (pytest.approx(per_call, abs=0.01) if per_call is not None else None)
    assert found.place is not None
    assert found.place.file.endswith("defects.c")
    assert name == "past_the_end" or found.place.function == name
    if name not in BY_FUNCTION:
        assert abs((found.place.line or 0) - marked(name)) <= 2, found.place


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_without_symbols_the_function_is_named(asker: Asker, name: str) -> None:
    code, _, _, argument = CASES[name]
    found = one(asker(f"stripped.{name}({argument})").findings)
    assert found.finding.code == code
    assert found.place is not None
    assert (found.place.file, found.place.line) == ("", None)
    assert os.path.basename(found.place.library) == "stripped.so"
    assert found.place.offset > 0
    # fill() writes for past_the_end(): it has no name left.
    assert found.place.function == ("" if name == "past_the_end" else f"stripped.{name}")


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_clean_twin_is_silent(asker: Asker, name: str) -> None:
    statement = f"defects.clean_{name}({CASES[name][3]})"
    if CASES[name][0] == "exception-contract":
        statement = f"try: {statement}\nexcept (ValueError, TypeError): pass"
    diagnosis = asker(statement)
    assert (diagnosis.problem, diagnosis.findings) == (None, ())
    assert any(path.endswith("defects.so") for path in diagnosis.libraries)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("defects.argument_leak(x)", "ref-leak"),
        ("defects.over_release(many)", "ref-underflow"),
        ("defects.borrowed_result(many)", "borrowed-return"),
        ("str(defects.argument_leak(C()))", "ref-leak"),
        ("for _ in range(3): defects.append_leak(C())", "ref-leak"),
        ("y = defects.new_leak(C())", "ref-leak"),
        ("import stripped as late\nlate.new_leak(C())", "ref-leak"),
        ("y = C()\ndefects.argument_leak(y)", "ref-leak"),
        ("defects.KeepsType(x)", "type-leak"),
        ("defects.KeepsItem(C())", "ref-leak"),
        ("defects.NoVisit(C())", "gc-missing"),
        ("try: defects.error_leak('no number')\nexcept TypeError: pass", "ref-leak"),
        ("defects.made_once_leak(C())", "ref-leak"),
        ("defects.writes_bytes(b'text' * 9)", "undefined"),
        ("y = b'text'\ndefects.writes_bytes(y)", "undefined"),
        ("-defects.MuteSlot()", "exception-contract"),
        ("import mute", "exception-contract"),
    ],
)
def test_it_is_found_wherever_the_call_stands(asker: Asker, statement: str, code: str) -> None:
    assert asker.codes(statement) == [code]


@pytest.mark.slow
def test_threads_that_the_statement_starts_hide_nothing(asker: Asker) -> None:
    """They are not there in a fork of the process that ran it once: the counting begins in one that did not."""
    setup = f"{SETUP}from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor(1)\n"
    assert asker.codes("pool.submit(defects.KeepsType, x).result()", setup=setup) == ["type-leak"]
    assert asker.codes("pool.submit(defects.Good, x).result()", setup=setup) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "statement",
    [
        "many.append(defects.clean_append_leak(C()))",  # it accumulates: that is what it says
        "kept[len(kept)] = defects.clean_new_leak(C())",
        "defects.clean_lazy_cache(x)",
        "defects.clean_writes_bytes(b'text')",
        "memo(defects.clean_argument_leak(x))",
        "defects.Good(x)",
        "box = defects.Good([]); box.item.append(box)",  # a cycle that the collector frees
        "holder.item = defects.Good(holder.item)",
        "try: -defects.Good()\nexcept TypeError: pass",
        "[defects.clean_borrowed_item([C()]) for _ in range(5)]",
    ],
)
def test_what_is_done_on_purpose_is_no_defect(asker: Asker, statement: str) -> None:
    more = "import functools\nkept = {}\nmemo = functools.lru_cache(None)(lambda text: [text])\n"
    diagnosis = asker(statement, setup=f"{SETUP}{more}holder = defects.Good(None)\n")
    assert (diagnosis.problem, diagnosis.findings) == (None, ())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["unchecked", "error_path_leak"])
def test_error_paths_are_looked_at_when_asked_for(asker: Asker, marked: Callable[[str], int], name: str) -> None:
    assert asker.codes(f"defects.{name}(C())") == []
    found = one(asker(f"defects.{name}(C())", faults=True).findings)
    assert found.finding.code == "error-path"
    assert found.place is not None
    assert abs((found.place.line or 0) - marked(name)) <= 2
    assert asker.codes(f"defects.clean_{name}(C())", faults=True) == []


@pytest.mark.slow
def test_a_held_gil_is_a_note(asker: Asker) -> None:
    diagnosis = asker("defects.gil_held(60.0)")
    found = one(diagnosis.findings)
    assert (found.finding.code, found.finding.severity, diagnosis.found) == ("gil-held", Severity.NOTE, False)
    assert asker("defects.clean_gil_held(60.0)").findings == ()


@pytest.mark.slow
def test_a_crash_has_its_stack(asker: Asker) -> None:
    diagnosis = asker("defects.used_after_free(C())")
    assert {f.finding.code for f in diagnosis.findings} >= {"use-after-free"}
    diagnosis = asker("__import__('ctypes').string_at(8)")
    found = one(diagnosis.findings)
    assert (found.finding.code, found.finding.message) == ("crash", "Segmentation fault")
    assert any("_ctypes" in frame.library for frame in found.stack)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statement", "code", "words"),
    [
        ("while True: pass", "timeout", "Still running after 1 s"),
        ("__import__('time').sleep(99)", "timeout", "Still running"),
        ("import os; os._exit(0)", "forbidden", "Ends the process"),
        ("raise SystemExit('enough')", "forbidden", "enough"),
        ("__import__('os').abort()", "crash", "Aborted"),
        ("__import__('os').kill(0, 9)", "crash", "SIGKILL"),
    ],
)
def test_a_statement_that_does_not_come_back_is_a_finding(asker: Asker, statement: str, code: str, words: str) -> None:
    found = one(asker(statement, seconds=1.0).findings)
    assert found.finding.code == code
    assert words in found.finding.message


@pytest.mark.slow
def test_memory_without_end_is_a_finding(asker: Asker) -> None:
    found = one(asker("x = []\nwhile True: x.append(b'1' * (1 << 20))", memory=200, seconds=60.0).findings)
    assert (found.finding.code, found.place) == ("out-of-memory", None)


@pytest.mark.slow
def test_a_setup_that_dies_is_a_finding(asker: Asker) -> None:
    found = one(asker("pass", setup="import os; os.abort()").findings)
    assert (found.finding.code, found.subject) == ("crash", "the setup")
    found = one(asker("pass", setup="import os; os._exit(3)").findings)
    assert (found.finding.code, found.finding.message) == ("forbidden", "Ends the process (exit code 3)")


@pytest.mark.slow
def test_a_module_that_fails_without_a_word_is_a_finding(asker: Asker) -> None:
    diagnosis = asker("mute", setup=f"{SETUP}import mute")
    found = one(diagnosis.findings)
    assert diagnosis.problem is None
    assert (found.finding.code, found.subject) == ("exception-contract", "the setup")
    assert "initialization of mute failed" in found.finding.message


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statement", "setup", "kind", "words"),
    [
        ("1 / 0", "pass", "usage", "the statement raises ZeroDivisionError: division by zero in line 1"),
        ("pass", "x = 1\nx.y", "usage", "the setup raises AttributeError: 'int' object has no attribute 'y' in line 2"),
        ("import nowhere_to_be_found", "pass", "environment", "there is no module nowhere_to_be_found"),
        ("pass", "import nowhere_to_be_found", "environment", "there is no module nowhere_to_be_found"),
        ("len([])", "pass", "usage", "calls no extension module"),
        ("[].frobnicate()", "pass", "usage", "AttributeError"),
        ("raise SystemError('bad argument to internal function')", "pass", "usage", "SystemError: bad argument"),
    ],
)
def test_what_the_user_did_is_no_finding(asker: Asker, statement: str, setup: str, kind: str, words: str) -> None:
    diagnosis = asker(statement, setup=setup)
    assert diagnosis.problem is not None
    assert diagnosis.problem.kind == kind
    assert words in diagnosis.problem.message
    assert diagnosis.problem.remedy


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "statement"),
    [
        ("numpy", "numpy.add(numpy.arange(9.0), 2.5)"),
        ("numpy", "numpy.sort(numpy.arange(9)[::-1]).tolist()"),
        ("msgspec", "msgspec.json.decode(msgspec.json.encode([1.5, {'a': 'text'}]))"),
        ("msgspec", "msgspec.json.Decoder().decode(b'[1, 2]')"),
        ("psutil", "psutil.Process().memory_info()"),
        ("pygments, pygments.lexers", "list(pygments.lex('x = 1', pygments.lexers.get_lexer_by_name('python')))"),
        ("zlib", "zlib.decompress(zlib.compress(b'text' * 99))"),
        ("json", "json.loads(json.dumps([1.5, {'a': [2]}]))"),
        ("decimal", "decimal.Decimal('2.5').sqrt()"),
        ("array", "array.array('d', [1.5, 2.5]).tobytes()"),
        ("zlib, types", "types.new_class('T', (), {}).mro; zlib.crc32(b'x')"),  # names of new types fill a cache
        ("hashlib", "hashlib.sha256(b'text').hexdigest()"),
        ("sqlite3", "c = sqlite3.connect(':memory:'); c.execute('select 1'); c.close()"),  # it lets go of what it held
        ("asyncio", "loop = asyncio.new_event_loop(); loop.close()"),
        ("subprocess", "subprocess.run(['true'])"),
        ("cProfile", "p = cProfile.Profile(); p.enable(); p.disable(); p.getstats()"),
        (
            "concurrent.futures",
            "e = concurrent.futures.ThreadPoolExecutor(1); e.submit(len, []).result(); e.shutdown()",
        ),
        (
            "PIL.Image, io",
            "im = PIL.Image.new('RGB', (9, 9)); im.save(f := io.BytesIO(), 'JPEG'); PIL.Image.open(f).load()",
        ),
        ("struct", "struct.unpack('<3d', struct.pack('<3d', 1.5, 2.5, 3.5))"),
        ("datetime", "datetime.datetime(2026, 1, 2).isoformat()"),
        ("pickle", "pickle.loads(pickle.dumps([1.5, {'a': [2]}]))"),
    ],
)
def test_others_peoples_right_code_is_silent(asker: Asker, module: str, statement: str) -> None:
    for name in module.split(", "):
        pytest.importorskip(name)
    diagnosis = asker(statement, setup=f"import {module}")
    if diagnosis.problem is not None:
        assert "calls no extension module" in diagnosis.problem.message, diagnosis.problem
        pytest.skip(f"{module} has none on this Python")
    assert diagnosis.findings == ()


@pytest.mark.slow
def test_the_block_behind_a_crash_is_named(asker: Asker, marked: Callable[[str], int]) -> None:
    found = asker("defects.past_into_the_next(C())").findings
    assert found[0].finding.code == "out-of-bounds", found
    assert found[0].place is not None
    assert found[0].place.line == marked("past_into_the_next")


KEEPER = """
import zlib
class Keeper:
    def save(self, data, **options):
        self.last = options
        return zlib.crc32(data)
keeper = Keeper()
keeper.save(b"", other=1)
"""


@pytest.mark.slow
def test_what_a_call_let_go_takes_its_own_with_it(asker: Asker) -> None:
    """Each call drops the options of the call before, which the probe keeps alive: the text in them is no leak."""
    diagnosis = asker("keeper.save(b'data', form='BC3', more=['DXT', [1.5]])", setup=KEEPER)
    assert (diagnosis.problem, diagnosis.findings) == (None, ())


@pytest.mark.slow
def test_an_operator_of_torch_is_looked_at(asker: Asker) -> None:
    pytest.importorskip("torch")
    diagnosis = asker("torch.ops.aten.relu(y)", setup="import torch; y = torch.ones(5)", seconds=60.0)
    assert (diagnosis.problem, diagnosis.findings) == (None, ())
    assert any("libtorch_python" in path for path in diagnosis.libraries)


@pytest.mark.slow
def test_the_module_is_named_for_what_its_library_allocates(asker: Asker) -> None:
    found = one(asker("caller.keep(x)", setup=f"{SETUP}import caller").findings)
    assert (found.finding.code, found.finding.per_call) == ("memory-leak", 4000)
    assert found.place is not None
    assert (os.path.basename(found.place.file), found.place.function) == ("caller.c", "keep")
    assert asker("caller.give_back(x)", setup=f"{SETUP}import caller").findings == ()


@pytest.mark.slow
def test_a_module_with_a_delete_of_its_own(asker: Asker) -> None:
    if not (asker.folder / "sized.so").exists():
        pytest.skip("needs g++")
    found = one(asker("sized.keep(x)", setup=f"{SETUP}import sized").findings)
    assert (found.finding.code, found.finding.per_call) == ("memory-leak", 4000)
    diagnosis = asker("sized.give_back(x)", setup=f"{SETUP}import sized")
    assert diagnosis.findings == ()
    assert not any(done.unknown for done in diagnosis.passes), diagnosis.passes


@pytest.mark.slow
def test_what_a_slot_holds_is_watched(asker: Asker) -> None:
    setup = f"{SETUP}class Slotted:\n    __slots__ = ('part',)\ns = Slotted(); s.part = [C()]\n"
    found = one(asker("(lambda held: defects.argument_leak(held.part))(s)", setup=setup).findings)
    assert found.finding.message == "arg0.part (list) gains 1 reference a call"


@pytest.mark.slow
def test_python_is_told(asker: Asker) -> None:
    diagnosis = asker("x.__class__\nimport math; math.sqrt(2.5)")
    assert diagnosis.python == sys.version.partition(" ")[0]
    assert [row.name for row in diagnosis.passes][:1] == ["books"]
