"""Measures once what one core of the machine that runs the checks, or its GPU, can do at most; kept in the cache."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tutor.core.errors import TutorError
from tutor.core.roof import Roof
from tutor.core.verdict import BenchResult
from tutor.engine.process import run_command
from tutor.engine.quiet import Quiet
from tutor.store.atomic import write_atomic
from tutor.toolchains.base import Command
from tutor.toolchains.native import native_library

# In all three arrays: the first and second cache, the last one, and memory.
SIZES = (24 << 10, 384 << 10, 6 << 20, 256 << 20)
# In both: a GPU's last cache holds less.
GPU_SIZES = (1 << 30,)
_SECONDS = 0.12
_PROGRAM = """
import ctypes, json, sys
library = ctypes.CDLL(sys.argv[1])
for function in (library.roof_bandwidth, library.roof_flops):
    function.restype = ctypes.c_double
seconds = ctypes.c_double(float(sys.argv[2]))
sizes = [int(word) for word in sys.argv[3:]]
rates = [library.roof_bandwidth(ctypes.c_size_t(size), seconds) for size in sizes]
print(json.dumps({"bandwidth": list(zip(sizes, rates)), "flops": library.roof_flops(seconds)}))
"""
# PyTorch's own copy and matrix product in float32 without TF32: what a kernel is measured against in the field.
_GPU_PROGRAM = """
import json, sys, time, torch
device, seconds = sys.argv[1], float(sys.argv[2])
sizes, side = [int(word) for word in sys.argv[4:]], int(sys.argv[3])
torch.backends.cuda.matmul.allow_tf32 = False
wait = torch.cuda.synchronize if device == "cuda" else lambda: None

def fastest(call):
    best, calls, end = float("inf"), 1, time.monotonic() + 5 * seconds
    call(), wait()
    while time.monotonic() < end:
        begin = time.perf_counter()
        for _ in range(calls):
            call()
        wait()
        took = time.perf_counter() - begin
        best, calls = min(best, took / calls), calls * 2 if took < seconds / 4 else calls
    return best

rates = []
for size in sizes:
    source = torch.ones(size // 8, device=device)
    target = torch.empty_like(source)
    rates.append(size / fastest(lambda: target.copy_(source)))
    del source, target
left, right = (torch.ones(side, side, device=device) for _ in range(2))
out = torch.empty_like(left)
flops = 2 * side**3 / fastest(lambda: torch.mm(left, right, out=out))
print(json.dumps({"bandwidth": list(zip(sizes, rates)), "flops": flops, "gpu": True}))
"""
_GPU_SIDE = 4096


class _Kept(msgspec.Struct):
    """roof.json, roof-gpu.json: what was measured by which program, through which launcher."""

    key: str
    launcher: list[str]
    roof: Roof


class RoofMeter:
    """The roof of this machine, or of the one behind the launcher. One measurement a cache folder, and one a GPU."""

    def __init__(self, cache: Path, launcher: Sequence[str], quiet: Quiet) -> None:
        self._cache, self._launcher, self._quiet = cache, tuple(launcher), quiet

    def kept(self, gpu: bool = False) -> Roof | None:
        """What was measured before; None when nothing was, or by another program or of another GPU."""
        try:
            found = msgspec.json.decode(self._path(gpu).read_bytes(), type=_Kept)
            same = found.key == _key(gpu) and tuple(found.launcher) == self._launcher
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, TutorError):
            return None
        return found.roof if same else None

    async def asked(self, bench: Sequence[BenchResult], known: Roof | None, may_measure: bool) -> Roof | None:
        """The roof for these cases, measured where it must be; None where no case needs another than the known one."""
        telling = [result for result in bench if result.bytes]
        if not telling or (known is not None and known.gpu == telling[0].gpu):
            return None
        gpu = telling[0].gpu
        return await asyncio.to_thread(self.kept, gpu) or (await self.measure(gpu) if may_measure else None)

    async def measure(self, gpu: bool = False) -> Roof | None:
        """Measure and keep it: two seconds alone on the machine, once. None where that can't be done."""
        try:
            if not gpu:
                for step in native_library("roof").steps:
                    if not (await run_command(step)).ok:
                        return None
            async with self._quiet.alone():
                roof = await self._run(_gpu_words() if gpu else _core_words())
            if roof is not None:
                write_atomic(self._path(gpu), msgspec.json.encode(_Kept(_key(gpu), list(self._launcher), roof)))
        except (TutorError, OSError):
            return None
        return roof

    def _path(self, gpu: bool) -> Path:
        return self._cache / ("roof-gpu.json" if gpu else "roof.json")

    async def _run(self, words: Sequence[str]) -> Roof | None:
        argv = (*self._launcher, sys.executable, "-I", "-c", *words)
        done = await run_command(Command(argv, self._cache, "roof", {}, timeout=60.0))
        try:
            roof = msgspec.json.decode(done.output.strip().splitlines()[-1], type=Roof)
        except (msgspec.MsgspecError, IndexError):
            return None
        levels = tuple((size, rate) for size, rate in roof.bandwidth if rate > 0)
        return Roof(levels, roof.flops, roof.gpu) if done.ok and levels and roof.flops > 0 else None


def _core_words() -> tuple[str, ...]:
    return (_PROGRAM, str(native_library("roof").path), str(_SECONDS), *map(str, SIZES))


def _gpu_words(device: str = "cuda") -> tuple[str, ...]:
    return (_GPU_PROGRAM, device, str(_SECONDS), str(_GPU_SIDE), *map(str, GPU_SIZES))


def _key(gpu: bool) -> str:
    """What was measured with, and on which GPU of those that are visible."""
    if not gpu:
        return native_library("roof").key
    words = "\0".join((*_gpu_words(), os.environ.get("CUDA_VISIBLE_DEVICES", "")))
    return hashlib.sha256(words.encode()).hexdigest()
