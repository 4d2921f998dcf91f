"""The C parts by themselves: guard buffers, attaching, surveys. Run once more under the sanitizers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tutor.core.protocol import Artifact
from tutor.worker.probe import library
from tutor.worker.probe.forked import run_forked

SANITIZED = "MLTUTOR_TEST_SANITIZED"


class Mortal:
    pass


def watch(artifact: Artifact, body: Any) -> Any:
    def attached() -> Any:
        library.attach(artifact)
        return body()

    reply = run_forked(attached, 60)
    assert reply.error == ""
    assert (reply.signal, reply.crash) == (0, None)
    return reply.value


@pytest.mark.parametrize("side", ["after", "before"])
def test_a_guard_buffer_lies_at_its_wall(probe: Any, side: str) -> None:
    made = probe.GuardBuffer("d", 8, (5,), None, False, side)
    low, high = (made.address, made.address + made.span)
    assert made.wall_high - made.wall_low == 4096
    assert (made.wall_low == high) if side == "after" else (made.wall_high == low)
    made.fill(bytes(range(40)))
    with memoryview(made) as view:
        assert (view.format, view.shape, view.strides, view.readonly) == ("d", (5,), (8,), False)
        assert bytes(view) == bytes(range(40))
        assert (made.gets, made.releases) == (1, 0)
    assert (made.gets, made.releases) == (1, 1)


def test_bindings_tell_what_is_bound_anew_and_nothing_else(probe: Any) -> None:
    def function(x: int = 1) -> int:
        return x

    class Judge:
        def rule(self) -> int:
            return 1

    space = {"function": function, "Judge": Judge, "len": 3}
    rows = [
        (space, "function", function),
        (Judge, "rule", Judge.rule),
        (space, "missing"),
        (space, "len"),
        (space, "x", 5),
    ]
    bindings = probe.Bindings(rows)
    assert bindings.changed() == [4]
    references = [sys.getrefcount(value) for value in (function, Judge, Judge.rule)]
    bindings.changed()
    assert [sys.getrefcount(value) for value in (function, Judge, Judge.rule)] == references
    function.__defaults__ = (2,)
    assert bindings.changed() == [0, 4]
    function.__defaults__ = None
    Judge.rule.__code__ = (lambda self: 2).__code__
    space |= {"missing": print, "len": 4, "x": 5}
    assert bindings.changed() == [0, 1, 2]
    space["missing"] = "no callable"
    Judge.rule = function
    assert bindings.changed() == [0, 1]


@pytest.mark.parametrize(
    "rows", [[()], [(1, "x")], [({}, 1)], ["ab"], [({}, "x", 1, 2)], (), [({}, "x"), None]], ids=repr
)
def test_bindings_refuse_what_is_no_row(probe: Any, rows: Any) -> None:
    with pytest.raises(TypeError):
        probe.Bindings(rows)


@pytest.mark.parametrize("strides", [(16,), (-8,), (0,)])
def test_a_strided_buffer_is_refused_to_those_who_want_it_flat(probe: Any, defects: Any, strides: tuple[int]) -> None:
    made = probe.GuardBuffer("d", 8, (3,), strides)
    view = memoryview(made)
    assert view.strides == strides
    assert made.span == abs(strides[0]) * 2 + 8
    with pytest.raises(BufferError, match="PyBUF_STRIDES"):
        defects.clean_buffer_kept(made)
    view.release()
    assert made.gets == made.releases == 1


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), ()])
def test_an_empty_or_0d_buffer_is_one(probe: Any, shape: tuple[int, ...]) -> None:
    made = probe.GuardBuffer("h", 2, shape)
    assert memoryview(made).shape == shape
    assert made.span == (2 if shape == () else 0)


def test_a_readonly_buffer_is_not_written(probe: Any) -> None:
    made = probe.GuardBuffer("B", 1, (4,), None, True)
    assert memoryview(made).readonly
    with open(os.devnull, "rb") as file, pytest.raises((BufferError, TypeError)):
        file.readinto(made)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("d", 0, (1,)), ValueError),
        (("a format that is too long", 8, (1,)), ValueError),
        (("d", 8, (1,) * 9), ValueError),
        (("d", 8, (1, 2), (8,)), ValueError),
        (("d", 8, 3), TypeError),
        (("d", 8, ("x",)), TypeError),
    ],
)
def test_what_is_no_buffer_is_refused(probe: Any, arguments: tuple[Any, ...], error: type[Exception]) -> None:
    with pytest.raises(error):
        probe.GuardBuffer(*arguments)
    with pytest.raises(ValueError):
        probe.GuardBuffer("d", 8, (2,)).fill(b"too short")


def test_attach_wants_a_loaded_library(probe: Any) -> None:
    with pytest.raises(OSError, match="is not loaded"):
        probe.attach("/no/such/library.so")


def test_attaching_twice_is_attaching_once(probe: Any, artifact: Artifact, defects: Any) -> None:
    def body() -> Any:
        again = probe.attach(artifact.path)
        value = Mortal()
        seen = probe.survey(defects.argument_leak, (value,), [value], 6)
        return again[0], seen["watched"][0][1]

    assert watch(artifact, body) == [0, [1, 2, 3, 4, 5, 6]]


def test_every_failable_call_is_logged_and_can_fail(probe: Any, artifact: Artifact, defects: Any) -> None:
    def body() -> Any:
        value = Mortal()
        log = probe.survey(defects.clean_error_path_leak, (value,), [value], 1)["log"]
        outcomes = [probe.survey(defects.clean_error_path_leak, (value,), [value], 2, k) for k in range(len(log))]
        return [row[0] for row in log], [(o["failed"][0], o["raised"], o["exception"]) for o in outcomes]

    names, outcomes = watch(artifact, body)
    assert names == ["PyList_New", "PyObject_Str", "PyList_Append"]
    assert [(name, raised) for name, raised, _ in outcomes] == [(name, 2) for name in names]
    assert all("fails in this test" in text for _, _, text in outcomes)


def test_many_blocks_are_all_followed(probe: Any, artifact: Artifact, defects: Any) -> None:
    """More than any table starts with."""

    def many(call: Any, value: Any) -> list[Any]:
        return [call(value) for _ in range(3000)]

    def body() -> Any:
        value = Mortal()
        clean = probe.survey(many, (defects.clean_append_leak, value), [value], 3)
        leaky = probe.survey(many, (defects.new_leak, value), [value], 2)
        return len(clean["survivors"]), len(leaky["survivors"])

    assert watch(artifact, body) == [0, 3000]


def test_intervals_tell_held_from_released(probe: Any, artifact: Artifact, defects: Any) -> None:
    held = watch(artifact, lambda: probe.intervals(defects.gil_held, (2.0,)))
    released = watch(artifact, lambda: probe.intervals(defects.clean_gil_held, (2.0,)))
    assert (held["releases"], held["released_ns"]) == (0, 0)
    assert held["longest_held_ns"] >= 2_000_000
    assert released["releases"] == 1
    assert 2_000_000 <= released["released_ns"] <= released["total_ns"]


def test_a_gil_taken_back_inside_counts_as_held(probe: Any, artifact: Artifact, defects: Any) -> None:
    held = watch(artifact, lambda: probe.intervals(defects.gil_ensured, (2.0,)))
    released = watch(artifact, lambda: probe.intervals(defects.clean_gil_ensured, (2.0,)))
    assert held["longest_held_ns"] >= 2_000_000
    assert held["released_ns"] < held["total_ns"] / 2
    assert released["releases"] == 2
    assert 2_000_000 <= released["released_ns"] <= released["total_ns"]


def test_a_missing_gil_is_healed(probe: Any, artifact: Artifact, defects: Any) -> None:
    def body() -> Any:
        value = Mortal()
        seen = probe.survey(defects.gil_missing, (value,), [value], 6)
        return seen["without_gil"][0][:2], seen["raised"], seen["survivors"]

    assert watch(artifact, body) == [["PyList_Append", 6], 0, []]


def test_none_is_counted_where_it_has_a_count(probe: Any, artifact: Artifact, defects: Any) -> None:
    def body() -> Any:
        seen = probe.survey(defects.clean_over_release, ([Mortal()],), [None], 6)
        return seen["watched"][0][1]

    assert watch(artifact, body) == [0] * 6


def test_the_collector_can_be_asked(probe: Any, defects: Any) -> None:
    held = Mortal()
    box = defects.Good(held)
    assert probe.is_tracked(id(box))
    assert not probe.is_tracked(id(1.5))
    assert probe.clear(box)
    assert not hasattr(box, "item")
    assert not probe.clear(1.5)


@pytest.mark.slow
@pytest.mark.skipif(SANITIZED in os.environ, reason="this is that run")
def test_the_sanitizers_find_nothing(probe: Any) -> None:
    """This file once more, with a probe built with ASan and UBSan."""
    runtime = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True).stdout.strip()
    if not Path(runtime).is_absolute():
        pytest.skip("gcc's libasan is not installed")
    here = Path(__file__).parent
    environment = {**os.environ, SANITIZED: "1", "LD_PRELOAD": runtime}
    # A process that is forked to be probed leaves all it has; Python's own leaks are not ours.
    environment["ASAN_OPTIONS"] = "detect_leaks=0:abort_on_error=1"
    environment["UBSAN_OPTIONS"] = "halt_on_error=1:print_stacktrace=1"
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={here}"]
    done = subprocess.run(
        [*words, f"--confcutdir={here}", str(here / "test_native.py")], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
