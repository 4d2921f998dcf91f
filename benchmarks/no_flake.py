"""The planted defects and their clean twins again and again: the verdicts must be the same every time.

`python -m benchmarks.no_flake [--repeat 30] [--toolchains C Cython ...]` builds the modules once, asks `diagnose` about
every case of tests/engine/matrix in every turn, and prints what differed; benchmarks/results/no_flake.json has the sum.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

MATRIX = Path(__file__).parents[1] / "tests" / "engine" / "matrix"
RESULTS = Path(__file__).parent / "results" / "no_flake.json"
sys.path.insert(0, str(MATRIX))

from cases import CASES, TOOLCHAINS  # noqa: E402
from conftest import VERSION, make_ready  # noqa: E402

Verdict = tuple[tuple[str, str, str], ...]


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--repeat", type=int, default=30)
    words.add_argument("--toolchains", nargs="*", default=list(TOOLCHAINS), choices=TOOLCHAINS)
    options = words.parse_args()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    with tempfile.TemporaryDirectory() as folder:
        python = make_ready(sys.executable, Path(folder), loop)
        seen = _repeat(python, options.repeat, options.toolchains)
        loop.run_until_complete(python.worker.close())
    sys.exit(1 if _tell(seen, options.repeat) else 0)


def _tell(seen: dict[str, Counter[Verdict]], turns: int) -> int:
    """Write how it stands after so many turns; the number of cases that gave more than one verdict."""
    flaky = {name: counts for name, counts in seen.items() if len(counts) > 1}
    for name, counts in flaky.items():
        print(f"FLAKY {name}: {dict(counts)}", flush=True)
    print(f"{len(seen)} cases, {turns} turns: {len(seen) - len(flaky)} gave the same verdict every time", flush=True)
    document = {"python": VERSION, "turns": turns, "cases": len(seen), "flaky": sorted(flaky)}
    RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return len(flaky)


def _repeat(python: Any, turns: int, toolchains: list[str]) -> dict[str, Counter[Verdict]]:
    seen: dict[str, Counter[Verdict]] = {}
    for turn in range(1, turns + 1):
        started = time.monotonic()
        for defect, row in CASES.items():
            for toolchain, case in row.items():
                for statement in (case.call, case.clean) if toolchain in toolchains else ():
                    if statement:
                        name = f"{toolchain} {defect}: {statement}"
                        seen.setdefault(name, Counter())[_verdict(python, toolchain, statement, case.faults)] += 1
        print(f"turn {turn}: {time.monotonic() - started:.1f} s", flush=True)
        _tell(seen, turn)
    return seen


def _verdict(python: Any, toolchain: str, statement: str, faults: bool) -> Verdict:
    """Code, type and function of each finding."""
    diagnosis = python.question(toolchain, statement, faults)
    assert diagnosis.problem is None, diagnosis.problem
    found = [(f.finding, f.place.function if f.place else "") for f in diagnosis.findings]
    return tuple((finding.code, finding.type, place) for finding, place in found)


if __name__ == "__main__":
    main()
