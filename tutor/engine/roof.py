"""Measures once what one core of the machine that runs the checks can do at most, and keeps it in the cache."""

from __future__ import annotations

import asyncio
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
from tutor.toolchains.native import NativeLibrary, native_library

# In all three arrays: the first and second cache, the last one, and memory.
SIZES = (24 << 10, 384 << 10, 6 << 20, 256 << 20)
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


class _Kept(msgspec.Struct):
    """roof.json: what was measured by which program, through which launcher."""

    key: str
    launcher: list[str]
    roof: Roof


class RoofMeter:
    """The roof of this machine, or of the one behind the launcher. One measurement a cache folder."""

    def __init__(self, cache: Path, launcher: Sequence[str], quiet: Quiet) -> None:
        self._path, self._launcher, self._quiet = cache / "roof.json", tuple(launcher), quiet

    def kept(self) -> Roof | None:
        """What was measured before; None when nothing was, or by another program."""
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=_Kept)
            same = found.key == native_library("roof").key and tuple(found.launcher) == self._launcher
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, TutorError):
            return None
        return found.roof if same else None

    async def asked(self, bench: Sequence[BenchResult], may_measure: bool) -> Roof | None:
        """The roof for these cases, measured where it is not known; None where none of them says what it moves."""
        if not any(result.bytes for result in bench):
            return None
        return await asyncio.to_thread(self.kept) or (await self.measure() if may_measure else None)

    async def measure(self) -> Roof | None:
        """Measure and keep it: two seconds alone on the machine, once. None where that can't be done."""
        try:
            library = native_library("roof")
            for step in library.steps:
                if not (await run_command(step)).ok:
                    return None
            async with self._quiet.alone():
                roof = await self._run(library)
            if roof is not None:
                kept = _Kept(library.key, list(self._launcher), roof)
                write_atomic(self._path, msgspec.json.encode(kept))
        except (TutorError, OSError):
            return None
        return roof

    async def _run(self, library: NativeLibrary) -> Roof | None:
        words = (str(library.path), str(_SECONDS), *map(str, SIZES))
        argv = (*self._launcher, sys.executable, "-I", "-c", _PROGRAM, *words)
        done = await run_command(Command(argv, library.path.parent, "roof", {}, timeout=60.0))
        try:
            roof = msgspec.json.decode(done.output.strip().splitlines()[-1], type=Roof)
        except (msgspec.MsgspecError, IndexError):
            return None
        levels = tuple((size, rate) for size, rate in roof.bandwidth if rate > 0)
        return Roof(levels, roof.flops) if done.ok and levels and roof.flops > 0 else None
