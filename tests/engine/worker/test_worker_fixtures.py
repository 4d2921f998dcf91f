"""The fixtures on planted defects, each named on its line, and silent on the clean twins."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from worker_harness import Outcome, Planted

from tutor.core.verdict import Outcome as Verdict

Run = Callable[..., Outcome]

REFS = "def test_it(built, refs, rng):\n    refs(built.{name}, [float(x) for x in rng.random(4)])\n"


@pytest.mark.parametrize(
    ("name", "code", "kind"),
    [
        ("first_borrowed", "borrowed-return", "float"),
        ("first_leaks", "ref-leak", "float"),
        ("drop_argument", "ref-underflow", "list"),
        ("copy_leaks", "ref-leak", "float"),
        ("lose_list", "ref-leak", "list"),
    ],
)
def test_reference_defect_is_named(run: Run, planted: Planted, name: str, code: str, kind: str) -> None:
    result = run(REFS.format(name=name)).only
    assert [(f.code, f.type, f.line) for f in result.findings] == [(code, kind, planted.line(f"*{name}("))]
    assert result.outcome is Verdict.FAIL


@pytest.mark.parametrize("name", ["first_clean", "copy_clean"])
def test_clean_references_are_reported_as_such(run: Run, name: str) -> None:
    result = run(REFS.format(name=name)).only
    assert (result.outcome, result.message) == (Verdict.PASS, "")
    assert {row.per_call for row in result.references} == {0}
    assert [row.what for row in result.references][:2] == ["arg0", "arg0[0]"]


def test_expected_reference_defect_passes(run: Run) -> None:
    text = """
    def test_it(built, refs):
        report = refs(built.lose_list, [float("1.5")], expect={"ref-leak"})
        assert [f.code for f in report.findings] == ["ref-leak"]
    """
    assert run(text).only.outcome is Verdict.PASS


def test_python_functions_have_no_reference_defects(run: Run) -> None:
    text = """
    import json, numpy as np

    def test_it(refs, rng):
        refs(lambda x: [v + 1 for v in x], [float(v) for v in rng.random(3)])
        refs(json.dumps, {"a": [float(rng.random())], "b": "text that is long"})
        refs(np.sort, rng.random(100))
        refs(lambda x: x[0], [float(rng.random())])
    """
    assert run(text).only.message == ""


def test_leak_of_malloc_is_measured(run: Run, planted: Planted) -> None:
    result = run("def test_it(built, memory):\n    memory.leak(built.malloc_leaks)\n").only
    (finding,) = result.findings
    assert (finding.code, finding.line) == ("memory-leak", planted.line("*malloc_leaks("))
    assert 100 <= (finding.per_call or 0) <= 128


def test_freed_memory_is_no_leak(run: Run) -> None:
    text = """
    def test_it(built, memory):
        assert memory.leak(built.malloc_clean) == 0
        assert memory.leak(lambda: [0.5] * 1000) == 0
        assert memory.leak(built.malloc_leaks, allowed=200) >= 100
    """
    assert run(text).only.message == ""


def test_peak_sees_a_hidden_copy(run: Run) -> None:
    text = """
    import numpy as np

    def test_it(memory):
        a = np.ones(4 << 20)
        view, extra = memory.peak(lambda: a[::2])
        assert extra < a.nbytes / 8
        copy, extra = memory.peak(lambda: a + 1)
        assert a.nbytes * 0.9 < extra < a.nbytes * 1.5
    """
    assert run(text).only.message == ""


@pytest.mark.parametrize(("name", "verb"), [("sum_past", "reads"), ("write_past", "writes")])
def test_guard_page_names_the_line(run: Run, planted: Planted, name: str, verb: str) -> None:
    text = f"def test_it(built, guard, rng):\n    built.{name}(guard.array(rng.random(100)))\n"
    (finding,) = run(text).only.findings
    assert finding.code == "out-of-bounds"
    assert verb in finding.message
    assert abs((finding.line or 0) - planted.line("HERE sum_with")) <= 3


def test_guarded_copy_is_an_ordinary_array(run: Run) -> None:
    text = """
    import numpy as np

    @pytest.mark.parametrize("side", ["after", "before"])
    @pytest.mark.parametrize("shape", [(5,), (3, 4), (0,), (2000, 3), ()])
    def test_it(built, guard, rng, side, shape):
        a = np.asarray(rng.random(shape))
        copy = guard.array(a, side=side)
        assert np.array_equal(copy, a) and copy.flags.c_contiguous and copy.shape == a.shape
        assert built.sum_clean(copy.reshape(-1)) == pytest.approx(a.sum())
        assert not guard.array(a, side=side, readonly=True).flags.writeable
    """
    assert {result.message for result in run(text).results.values()} == {""}


def test_held_gil_is_named(run: Run, planted: Planted) -> None:
    (finding,) = run("def test_it(built, gil):\n    gil.check(built.work_held, 20_000_000)\n").only.findings
    assert (finding.code, finding.line) == ("gil-held", planted.line("*work_held("))


def test_released_gil_passes(run: Run) -> None:
    text = """
    def test_it(built, gil):
        assert gil.check(built.work_released, 20_000_000) > 0.5
        assert gil.released(built.work_held, 20_000_000) < 0.2
    """
    assert run(text).only.message == ""


def test_variants_equal_their_model(run: Run) -> None:
    text = """
    import numpy as np

    def test_it(variants, rng):
        a = rng.random((3, 4))
        made = dict(variants(a))
        assert list(made) == "contiguous strided transposed negative readonly empty misaligned".split()
        for label, each in made.items():
            assert each.dtype == a.dtype
            assert label == "empty" or np.array_equal(each, a)
        assert made["strided"].strides[-1] == 16 and made["negative"].strides[0] < 0
        assert made["empty"].shape == (0, 4) and not made["misaligned"].flags.aligned
        assert not made["readonly"].flags.writeable and made["transposed"].flags.f_contiguous
        with pytest.raises(ValueError):
            list(variants(a, kinds=["sideways"]))
    """
    assert run(text).only.message == ""
