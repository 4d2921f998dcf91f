"""The limits of this machine: measured once, kept, and in an order that no machine reverses by much."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from tutor.core.roof import Roof, standing
from tutor.core.verdict import BenchResult
from tutor.engine import roof as module
from tutor.engine.quiet import Quiet
from tutor.engine.roof import SIZES, RoofMeter
from tutor.toolchains.settings import configure
from tutor.ui.roofline import short


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    configure(tmp_path)
    return tmp_path


def meter(cache: Path, *launcher: str) -> RoofMeter:
    return RoofMeter(cache, launcher, Quiet(cache / "quiet"))


CASE = BenchResult("a", "b", 1.0, 1.0, 1.0, 1.0, True, bytes=1000)


async def test_it_is_measured_once_and_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SECONDS", 0.01)
    made = await meter(cache).asked([CASE], None, may_measure=True)
    assert made is not None
    assert [size for size, _ in made.bandwidth] == list(SIZES)
    # Far below what any machine does that runs the course, far above what any will.
    assert all(1e8 < rate < 1e13 for _, rate in made.bandwidth)
    assert 1e8 < made.flops < 1e13
    monkeypatch.setattr(RoofMeter, "measure", None)
    assert await meter(cache).asked([CASE], None, may_measure=True) == made


async def test_nothing_is_measured_for_cases_that_say_nothing(cache: Path) -> None:
    silent = BenchResult("a", "b", 1.0, 1.0, 1.0, 1.0, True)
    assert await meter(cache).asked([silent], None, may_measure=True) is None
    assert await meter(cache).asked([CASE], None, may_measure=False) is None
    assert not (cache / "roof.json").exists()


async def test_another_launcher_or_a_spoilt_file_is_another_machine(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SECONDS", 0.01)
    assert await meter(cache, "env", "NODE=2").measure() is not None
    assert meter(cache, "env", "NODE=2").kept() is not None
    assert meter(cache).kept() is None
    (cache / "roof.json").write_bytes(b'{"key": ')
    assert meter(cache, "env", "NODE=2").kept() is None


async def test_a_machine_that_cannot_be_measured_has_no_roof(cache: Path) -> None:
    assert await meter(cache, "/nonexistent/srun").measure() is None
    assert await meter(cache, "false").measure() is None


async def test_the_gpus_is_measured_by_torch_and_kept_apart(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program itself, on the processor: what differs on a GPU is `cuda` and waiting for it."""
    pytest.importorskip("torch")
    for name, value in (("_SECONDS", 0.01), ("_GPU_SIDE", 64), ("GPU_SIZES", (1 << 20,))):
        monkeypatch.setattr(module, name, value)
    words = module._gpu_words
    monkeypatch.setattr(module, "_gpu_words", lambda: words("cpu"))
    made = await meter(cache).asked([replace(CASE, gpu=True)], None, may_measure=True)
    assert made is not None
    assert made.gpu
    assert 1e8 < made.bandwidth_for(1000)[1] < 1e13
    assert 1e7 < made.flops < 1e13
    assert meter(cache).kept(gpu=True) == made
    assert meter(cache).kept() is None
    assert await meter(cache).asked([replace(CASE, gpu=True)], made, may_measure=True) is None, "it is known"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert meter(cache).kept(gpu=True) is None


async def test_without_a_gpu_it_has_no_roof(cache: Path) -> None:
    if os.path.exists("/dev/nvidiactl"):
        pytest.skip("this machine has a GPU")
    assert await meter(cache).measure(gpu=True) is None


def test_a_case_stands_only_under_the_roof_of_what_it_ran_on() -> None:
    core, gpu = Roof(((1000, 1e9),), 1e9), Roof(((1000, 4e12),), 5e13, gpu=True)
    mine = replace(CASE, seconds=1e-6)
    assert standing(mine, gpu) is None
    assert standing(replace(mine, gpu=True), core) is None
    placed = standing(replace(mine, gpu=True), gpu)
    assert placed is not None
    assert short(placed) == "1.00 GB/s, 0% of the GPU's 4.00 TB/s"


def test_the_limit_is_that_of_data_of_the_size() -> None:
    roof = Roof(((1000, 9e9), (10_000, 5e9), (100_000, 1e9)), 1e9)
    assert roof.bandwidth_for(1000) == (1000, 9e9)
    assert roof.bandwidth_for(1001) == (10_000, 5e9)
    assert roof.bandwidth_for(10**9) == (100_000, 1e9)
    assert roof.memory == 1e9
