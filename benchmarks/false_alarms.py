"""Every callable of right code that takes one of our arguments goes through `mltutor diagnose`: nothing may be found.

What is found all the same is looked at once more without the probe, by sys.getrefcount and sys.getallocatedblocks:
growth that these show too is a defect of the package and no false alarm.

`python -m benchmarks.false_alarms [--only lxml numpy] [--limit N] [--faults]` prints a row a package and writes
benchmarks/results/false_alarms.json. Packages that are not installed are left out.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import importlib
import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from tutor.engine.diagnose import Question, ask, open_worker
from tutor.store.home import Home

RESULTS = Path(__file__).parent / "results" / "false_alarms.json"
PER_CALLABLE = 2
RUNS = 300
SECONDS = 2

NUMBERS = ["", "2.5", "123456789012", "3, 2", "[3.5, 1.5, 2.25]", "[1.5, 3.5], 2.25"]
TEXTS = ["'text %d' % 7", "'[1.5, {\"a\": [2]}]'", "'a', 'banana'", "'a+', 'banana'"]
BYTES = ["b'%d' % 123456", "bytearray(b'abc' * 9)", "b'%d' % 7, 3", "bytearray(27), 2"]
OBJECTS = [
    "object()",
    "{'a': [1.5], 'b': 'text %d' % 7}",
    "lambda *a: 1.5",
    "'d', [1.5, 2.5]",
    "(1.5, 2.5), {'k': 3.5}",
]
COMMON = [*NUMBERS, *TEXTS, *BYTES, *OBJECTS]
ARRAYS = [
    "np.arange(12.0)",
    "np.arange(12.0).reshape(3, 4)",
    "np.arange(6), np.arange(6)",
    "np.eye(3)",
    "np.eye(3), np.eye(3)",
]

# Module, and expressions whose methods are called too; `np` and the module's own first name are there.
STANDARD: dict[str, list[str]] = {
    name: []
    for name in """math cmath zlib binascii _bisect _heapq _json _pickle _csv _random unicodedata _statistics _bz2 _lzma
    _queue _zoneinfo _opcode _struct _hashlib _md5 _sha1 _sha256 _sha512 _sha3 _blake2 _uuid _crypt _contextvars
    _posixsubprocess _multiprocessing audioop select _socket grp spwd _ssl mmap""".split()  # noqa: SIM905
}
METHODS = {
    "array": ["array.array('d', [1.5, 2.5, 0.5])", "array.array('i', [3, 1, 2])"],
    "_datetime": [
        "_datetime.datetime(2026, 1, 2, 3, 4, 5)",
        "_datetime.date(2026, 1, 2)",
        "_datetime.timedelta(3, 4, 5)",
    ],
    "_decimal": ["_decimal.Decimal('2.5')", "_decimal.Context()"],
    "_elementtree": ["_elementtree.Element('a', {'b': 'c'})", "_elementtree.TreeBuilder()"],
    "pyexpat": ["pyexpat.ParserCreate()"],
    "_sqlite3": ["_sqlite3.connect(':memory:')"],
    "_struct": ["_struct.Struct('<3d')"],
    "zlib": ["zlib.compressobj()", "zlib.decompressobj()"],
    "_random": ["_random.Random()"],
    "_asyncio": [],
}
PACKAGES = {
    "numpy": [
        "np.arange(12.0).reshape(3, 4)",
        "np.arange(6)",
        "np.dtype('f8')",
        "np.random.default_rng(3)",
        "np.float64(2.5)",
    ],
    "numpy.linalg": [],
    "numpy.fft": [],
    "lxml.etree": [
        "lxml.etree.fromstring('<a b=\"c\"><d>text</d><d/></a>')",
        "lxml.etree.XMLParser()",
        "lxml.etree.XPath('//d')",
    ],
    "lxml.html": ["lxml.html.fromstring('<p>a <b>b</b></p>')"],
    "PIL.Image": ["PIL.Image.new('RGB', (9, 7), 'red')", "PIL.Image.new('L', (8, 8))"],
    "PIL.ImageDraw": ["PIL.ImageDraw.Draw(PIL.Image.new('RGB', (9, 9)))"],
    "PIL._imaging": [],
    "orjson": [],
    "ujson": [],
    "msgpack": ["msgpack.Packer()", "msgpack.Unpacker()"],
    "regex": ["regex.compile('a+(?P<n>b)?')", "regex.match('a+', 'aab')"],
    "yaml": [],
    "yaml._yaml": [],
    "_cffi_backend": [],
    "cffi": ["cffi.FFI()"],
    "simplejson": [],
    "lz4.frame": [],
    "lz4.block": [],
    "zstandard": ["zstandard.ZstdCompressor()", "zstandard.ZstdDecompressor()"],
    "snappy": [],
    "bitarray": ["bitarray.bitarray('011011')"],
    "hiredis": ["hiredis.Reader()"],
    "immutables": ["immutables.Map({'a': 1.5})"],
    "cchardet": [],
    "ahocorasick": ["ahocorasick.Automaton()"],
    "Levenshtein": [],
    "rapidfuzz.fuzz": [],
    "rapidfuzz.distance": [],
    "markupsafe": [],
    "multidict": ["multidict.MultiDict(a='b')"],
    "frozenlist": ["frozenlist.FrozenList([1.5, 2.5])"],
    "yarl": ["yarl.URL('http://a.b/c?d=e')"],
    "xxhash": ["xxhash.xxh64()"],
    "ciso8601": [],
    "msgspec": ["msgspec.json.Decoder()", "msgspec.json.Encoder()"],
    "psutil": ["psutil.Process()"],
    "wrapt": [],
    "pandas": ["pandas.DataFrame({'a': [1.5, 2.5], 'b': [3, 4]})", "pandas.Series([1.5, 2.5, 0.5])"],
    "scipy.linalg": [],
    "scipy.special": [],
}
DISTRIBUTIONS = {
    "PIL": "pillow",
    "yaml": "PyYAML",
    "snappy": "python-snappy",
    "ahocorasick": "pyahocorasick",
    "_cffi_backend": "cffi",
}
# They wait, end or change the process or the machine, show something to a person, or do what they are told for hours.
LEFT_OUT = """factorial perm comb exit fork kill sleep abort input interact show set_wakeup_fd sigwait pause sethostname
fork_exec dup dup2 close connect_ex getaddrinfo gethostbyname gethostbyname_ex gethostbyaddr getnameinfo select poll
epoll test tofile dump save savez savez_compressed savetxt to_csv to_pickle to_excel to_sql to_hdf to_parquet
to_clipboard read_clipboard memmap terminate suspend resume wait wait_procs set_memory_policy nice ionice
rlimit cpu_affinity open fromfile source info lookfor test_all bench setdefaulttimeout embedding_api sem_unlink
getblock setblock""".split()  # noqa: SIM905


@dataclass(frozen=True)
class Alarm:
    """A statement in which something was found."""

    statement: str
    code: str
    message: str
    place: str
    real: bool


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--only", nargs="*", default=[])
    words.add_argument("--limit", type=int, default=0, help="callables a module, 0 all")
    words.add_argument("--faults", action="store_true")
    words.add_argument("--no-write", action="store_true")
    options = words.parse_args()
    modules = {**STANDARD, **METHODS, **PACKAGES}
    wanted = {name: owners for name, owners in modules.items() if not options.only or name in options.only}
    rows = asyncio.run(_all(wanted, options))
    callables, statements = sum(row["callables"] for row in rows), sum(row["statements"] for row in rows)
    alarms = sum(len(row["alarms"]) for row in rows)
    real = sum(alarm["real"] for row in rows for alarm in row["alarms"])
    print(f"{callables} callables, {statements} statements, {alarms} findings, {alarms - real} of them false")
    if not options.no_write:
        python = platform.python_version()
        document = {"python": python, "callables": callables, "statements": statements, "findings": alarms}
        document |= {"false": alarms - real, "rows": rows}
        RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


async def _all(modules: dict[str, list[str]], options: argparse.Namespace) -> list[dict[str, Any]]:
    worker = open_worker(Home.locate())
    rows = []
    try:
        for name, owners in modules.items():
            setup, found = _callables(name, owners, options.limit)
            if not found:
                continue
            started = time.monotonic()
            rows.append(await _row(worker, name, setup, found, options.faults))
            row = rows[-1]
            said = f"{row['statements']:5d} statements {len(row['alarms']):3d} alarms"
            print(f"{name:20s} {row['callables']:5d} callables {said} {time.monotonic() - started:6.1f} s", flush=True)
            for alarm in row["alarms"]:
                real = "real" if alarm["real"] else "FALSE"
                print(
                    f"    {real}: {alarm['statement']}: {alarm['code']} {alarm['message']} {alarm['place']}", flush=True
                )
    finally:
        await worker.close()
    return rows


async def _row(worker: Any, name: str, setup: str, found: dict[str, list[str]], faults: bool) -> dict[str, Any]:
    alarms, looked, unknown, callables = [], 0, 0, 0
    for statements in found.values():
        seen = 0
        for statement in statements:
            diagnosis = await ask(worker, Question(statement, setup, seconds=5.0, faults=faults))
            if diagnosis.problem is not None:
                continue
            seen += 1
            unknown += any(p.unknown for p in diagnosis.passes)
            for f in diagnosis.findings:
                if str(f.finding.severity) != "note":
                    place = f.place.text if f.place else ""
                    real = _grows_plainly(setup, statement)
                    alarms.append(asdict(Alarm(statement, f.finding.code, f.finding.message, place, real)))
        looked += seen
        callables += bool(seen)
    return {
        "module": name,
        "version": _version(name),
        "callables": callables,
        "statements": looked,
        "partly": unknown,
        "alarms": alarms,
    }


def _version(name: str) -> str:
    if name in STANDARD or name in METHODS:
        return platform.python_version()
    try:
        return metadata.version(DISTRIBUTIONS.get(name.partition(".")[0], name.partition(".")[0]))
    except metadata.PackageNotFoundError:
        return ""


def _callables(name: str, owners: list[str], limit: int) -> tuple[str, dict[str, list[str]]]:
    """Setup, and for each callable the statements with it that work."""
    try:
        importlib.import_module(name)
    except ImportError:
        return "", {}
    # What they write, they write elsewhere.
    setup = f"import os, tempfile, {name}\nos.chdir(tempfile.gettempdir())"
    arguments = list(COMMON)
    if name.startswith(("numpy", "pandas", "scipy")):
        setup += "\nimport numpy as np"
        arguments = [*ARRAYS, *COMMON]
    names: dict[str, Any] = {}
    exec(setup, names)
    found: dict[str, list[str]] = {}
    for owner in [name, *owners]:
        for member in _members(eval(owner, names)):
            works = _working(f"{owner}.{member}", arguments, names)
            if works:
                found[f"{owner}.{member}"] = works
            if limit and len(found) >= limit:
                return setup, found
    return setup, found


def _members(owner: Any) -> Iterator[str]:
    for name in sorted(dir(owner)):
        try:
            value = getattr(owner, name)
        except Exception:  # noqa: BLE001 - a property that does not apply
            continue
        error = isinstance(value, type) and issubclass(value, BaseException)
        if name[0] != "_" and callable(value) and name not in LEFT_OUT and not error:
            yield name


def _working(call: str, arguments: list[str], names: dict[str, Any]) -> list[str]:
    """Statements that run without an exception, found in a forked process that may die of it."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(SECONDS)
            null = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(null, fd)
            os.chdir(tempfile.gettempdir())
            for number, text in enumerate(arguments):
                if _works(f"{call}({text})", names):
                    os.write(writer, bytes([number]))
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        worked = file.read()
    status = os.waitpid(pid, 0)[1]
    return [f"{call}({arguments[n]})" for n in worked[:PER_CALLABLE]] if status == 0 else []


def _grows_plainly(setup: str, statement: str) -> bool:
    """Whether plain Python sees it grow, twice alike: its allocated blocks, or the references to any one object."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, b"1" if _growth(setup, statement) else b"0")
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        said = file.read()
    os.waitpid(pid, 0)
    return said == b"1"


def _growth(setup: str, statement: str) -> bool:
    names: dict[str, Any] = {}
    exec(setup, names)
    code = compile(statement, "<statement>", "exec")
    for _ in range(50):
        exec(code, names)
    gc.collect()
    known = {id(value): value for value in gc.get_objects()}
    for value in gc.get_referents(*known.values()):
        known.setdefault(id(value), value)
    objects = list(known.values())
    del known
    blocks, counts = [], []
    for _ in range(3):
        ctypes.pythonapi.PyType_ClearCache()  # it holds names of types that are gone
        gc.collect()
        counts.append([sys.getrefcount(value) for value in objects])
        blocks.append(sys.getallocatedblocks())
        for _ in range(RUNS):
            exec(code, names)
    # What the lists of counts themselves take is the same each time, but for one that is shared.
    taken = sum(count > 256 for count in counts[-1])
    least = 0.9 * RUNS
    if blocks[2] - blocks[1] - taken >= least and blocks[1] - blocks[0] - taken >= least:
        return True
    return any(min(b - a, c - b) >= least or max(b - a, c - b) <= -least for a, b, c in zip(*counts, strict=True))


def _works(statement: str, names: dict[str, Any]) -> bool:
    started = time.monotonic()
    try:
        eval(statement, dict(names))
        eval(statement, dict(names))
    except BaseException:  # noqa: BLE001 - whatever it is, this is no call to look at
        return False
    return time.monotonic() - started < 0.1


if __name__ == "__main__":
    main()
