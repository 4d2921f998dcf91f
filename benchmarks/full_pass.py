"""What a full pass of the probe over one call costs in a warm process, without and with torch in it.

`python -m benchmarks.full_pass [--rounds 20]` prints the median in ms of wall time and of processor time (children
included, which other work on the machine does not touch), and writes benchmarks/results/full_pass.json. The budget is
150 ms without torch, 300 ms with it. A clean call goes through every pass once; a leak is counted again to confirm it.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results" / "full_pass.json"
BUDGET = {"plain": 150, "torch": 300}
CALLS = {"clean": "clean_append_leak", "leak": "append_leak", "clean, failures too": "clean_error_path_leak"}


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rounds", type=int, default=20)
    words.add_argument("--flavour", choices=tuple(BUDGET))
    options = words.parse_args()
    if options.flavour:
        print(json.dumps(_measure(options.flavour, options.rounds)))
        return
    rows = []
    for flavour, budget in BUDGET.items():
        if flavour == "torch" and importlib.util.find_spec("torch") is None:
            continue
        argv = [sys.executable, "-m", "benchmarks.full_pass", "--flavour", flavour, "--rounds", str(options.rounds)]
        done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
        for row in json.loads(done.stdout.splitlines()[-1]):
            rows.append({"flavour": flavour, "budget": budget, **row})
            print(f"{flavour:6s} {row['call']:20s} wall {row['wall']:6.1f} ms  processor {row['cpu']:6.1f} ms")
    load = round(os.getloadavg()[0], 1)
    RESULTS.write_text(json.dumps({"load": load, "rows": rows}, indent=1) + "\n", encoding="utf-8")


def _measure(flavour: str, rounds: int) -> list[dict[str, Any]]:
    from tutor.core.protocol import Artifact
    from tutor.worker import crash, warm
    from tutor.worker.probe import library
    from tutor.worker.probe.injection import fail_each
    from tutor.worker.probe.passes import Probed, diagnose

    with tempfile.TemporaryDirectory() as folder:
        probe, handler, planted = _build(Path(folder))
        warm.warm_flavour(flavour)
        library.use_library(str(probe))
        crash.use_library(str(handler))
        gc.collect()
        gc.freeze()
        spec = importlib.util.spec_from_file_location("defects", planted)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        artifact = Artifact("extension", "defects", str(planted))

        def once(call: str, name: str) -> None:
            probed = Probed(artifact, getattr(module, name), (object(),))
            found = diagnose(probed).findings
            assert bool(found) is (call == "leak"), found
            if "failures" in call:
                fail_each(probed)

        return [_median(call, lambda c=call, n=name: once(c, n), rounds) for call, name in CALLS.items()]  # type: ignore[misc]


def _median(call: str, once: Callable[[], None], rounds: int) -> dict[str, Any]:
    walls, cpus = [], []
    for _ in range(rounds + 1):
        start, used = time.perf_counter(), _processor()
        once()
        walls.append(time.perf_counter() - start)
        cpus.append(_processor() - used)
    # The first one pays for what is loaded late.
    return {"call": call, "wall": statistics.median(walls[1:]) * 1e3, "cpu": statistics.median(cpus[1:]) * 1e3}


def _processor() -> float:
    rows = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(row.ru_utime + row.ru_stime for row in rows)


def _build(folder: Path) -> tuple[Path, Path, Path]:
    native = ROOT / "native"
    made = []
    for name, sources, flags in (
        ("_probe.so", sorted((native / "probe").glob("*.c")), ("-O1", "-fvisibility=hidden", "-fno-strict-aliasing")),
        ("crash.so", [native / "crash" / "crash.c"], ("-O1", "-pthread")),
        ("defects.so", [ROOT / "tests" / "engine" / "probe" / "defects.c"], ("-O2",)),
    ):
        words = ["gcc", "-std=gnu11", "-g1", "-w", "-shared", "-fPIC", f"-I{sysconfig.get_paths()['include']}", *flags]
        subprocess.run([*words, *map(str, sources), "-o", str(folder / name), "-ldl"], check=True)
        made.append(folder / name)
    return made[0], made[1], made[2]


if __name__ == "__main__":
    main()
