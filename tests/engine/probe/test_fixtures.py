"""The fixtures of lesson checks with the probe behind them: real zygote, real lines."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tutor.core import protocol
from tutor.core.protocol import Artifact

sys.path.insert(0, str(Path(__file__).parents[1] / "worker"))
from worker_harness import Outcome, ZygoteClient, outcome


@pytest.fixture(scope="module")
def zygote(probe: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZygoteClient]:
    folder = tmp_path_factory.mktemp("zygote")
    client = ZygoteClient("plain", folder / "errors.txt")
    (done,) = client.finish(protocol.Warm(client.run_id(), preload=(str(probe.__file__),)))  # type: ignore[attr-defined]
    assert isinstance(done, protocol.Done)
    assert done.outcome == "ok", done.message
    yield client
    client.close()


@pytest.fixture
def run(zygote: ZygoteClient, artifact: Artifact, tmp_path: Path) -> Callable[[str], Outcome]:
    def run_text(text: str) -> Outcome:
        (tmp_path / "exercise.toml").write_text("")
        (tmp_path / "test_it.py").write_text("import numpy as np\nclass C: pass\n" + textwrap.dedent(text))
        return outcome(zygote.finish(protocol.Check(zygote.run_id(), "test", str(tmp_path), artifact)))

    return run_text


FINDINGS = {
    "def test_it(built, refs): refs(built.append_leak, C())": ("ref-leak", "append_leak"),
    "def test_it(built, refs): refs(built.used_after_free, C())": ("use-after-free", "used_after_free"),
    "def test_it(built, memory): memory.leak(built.malloc_leak, 2.5)": ("memory-leak", "malloc_leak"),
    "def test_it(built, faults): faults(built.error_path_leak, C())": ("error-path", "error_path_leak"),
    "def test_it(built, refs, guard): refs(built.buffer_kept, guard.buffer(np.arange(5.0)))": (
        "buffer-not-released",
        "buffer_kept",
    ),
}


@pytest.mark.parametrize("text", FINDINGS)
def test_a_fixture_names_the_line(run: Callable[[str], Outcome], marked: Callable[[str], int], text: str) -> None:
    result = run(text).only
    (finding,) = result.findings
    code, mark = FINDINGS[text]
    assert (finding.code, finding.file, finding.line) == (code, "defects.c", marked(mark)), finding


def test_gil_held_is_named(run: Callable[[str], Outcome]) -> None:
    result = run("def test_it(built, gil): gil.check(built.gil_held, 3.0)").only
    assert [finding.code for finding in result.findings] == ["gil-held"]
    assert "at a stretch" in result.message


@pytest.mark.parametrize(
    "text",
    [
        "def test_it(built, refs): refs(built.clean_append_leak, C())",
        "def test_it(built, memory): assert memory.leak(built.clean_malloc_leak, 2.5) == 0",
        "def test_it(built, gil): assert gil.check(built.clean_gil_held, 3.0) > 0.9",
        "def test_it(built, faults): faults(built.clean_error_path_leak, C())",
        "def test_it(built, refs, guard): refs(built.clean_buffer_kept, guard.buffer(np.arange(5.0)))",
    ],
)
def test_the_clean_twin_passes(run: Callable[[str], Outcome], text: str) -> None:
    result = run(text).only
    assert (str(result.outcome), result.message, result.findings) == ("pass", "", ())


def test_the_timeline_shows_when_the_gil_is_held(run: Callable[[str], Outcome]) -> None:
    held = run("def test_it(built, gil): gil.released(built.gil_held, 3.0)").only.gil[0]
    free = run("def test_it(built, gil): gil.released(built.clean_gil_held, 3.0)").only.gil[0]
    assert (held.what, held.released, set(held.strip)) == ("gil_held", 0.0, {0.0})
    assert held.seconds >= 0.003
    assert held.longest_held >= 0.003
    assert (free.what, len(free.strip)) == ("clean_gil_held", 40)
    assert min(free.strip[1:-1]) > 0.9, "released from begin to end"
    assert free.longest_held < free.seconds


def test_memory_rows_tell_what_is_kept_and_needed(run: Callable[[str], Outcome]) -> None:
    leak = run("def test_it(built, memory): memory.leak(built.malloc_leak, 2.5)").only.memory[0]
    assert leak.what == "malloc_leak"
    assert leak.leaked is not None
    assert leak.leaked >= 64
    text = "def test_it(memory): memory.peak(lambda: np.ones(4 << 20)); memory.leak(lambda: None)"
    peak, none = run(text).only.memory
    assert peak.peak is not None
    assert peak.peak > 30 << 20
    assert (none.leaked, none.peak) == (0.0, None)


def test_rows_reach_the_panel(run: Callable[[str], Outcome]) -> None:
    result = run("def test_it(built, refs): refs(built.argument_leak, C())").only
    row = result.references[0]
    assert (row.what, row.type, row.per_call, row.series) == ("arg0", "C", 1, (1, 2, 3, 4, 5, 6))
    assert row.place == f"{result.findings[0].file}:{result.findings[0].line}"
