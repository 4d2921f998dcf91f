"""Reports of compute-sanitizer 2025.3, as it wrote them on an H200 about kernels with planted defects."""

from __future__ import annotations

from pathlib import Path

import pytest

from tutor.core.protocol import Artifact
from tutor.worker import kernels

MEMCHECK = """========= COMPUTE-SANITIZER
========= Invalid __global__ write of size 4 bytes
=========     at oob(float *, int)+0xc0 in probe.cu:2
=========     by thread (232,0,0) in block (3,0,0)
=========     Access to 0x7f2d2a800fa0 is out of bounds
=========     and is 1 bytes after the nearest allocation at 0x7f2d2a800000 of size 4,000 bytes
=========     Saved host backtrace up to driver entry point at kernel launch time
=========         Host Frame: launch [0x9c83] in libprobe.so
=========
========= Program hit cudaErrorLaunchFailure (error 719) due to "unspecified launch failure" on CUDA API call to x.
=========
"""
RACECHECK = """========= COMPUTE-SANITIZER
========= Error: Race reported between Write access at race(float *, int)+0xc0 in probe.cu:4
=========     and Read access at race(float *, int)+0xd0 in probe.cu:5 [1024 hazards]
=========
========= RACECHECK SUMMARY: 1 hazard displayed (1 error, 0 warnings)
"""
SYNCCHECK = """========= COMPUTE-SANITIZER
========= Barrier error detected. Divergent thread(s) in warp.
=========     at badsync(float *, int)+0x70 in probe.cu:6
=========     by thread (96,0,0) in block (0,0,0)
=========
========= Barrier error detected. Divergent thread(s) in warp.
=========     at badsync(float *, int)+0x70 in probe.cu:6
=========     by thread (97,0,0) in block (0,0,0)
=========
========= ERROR SUMMARY: 2 errors
"""
SAID = {
    MEMCHECK: (
        "cuda-memcheck",
        2,
        "writes 4 bytes of global memory, 1 bytes past the end of a block of 4,000 bytes (compute-sanitizer memcheck)",
    ),
    RACECHECK: (
        "cuda-race",
        4,
        "a write here and a read in line 5 of shared memory with no barrier between (compute-sanitizer racecheck)",
    ),
    SYNCCHECK: ("cuda-race", 6, "Divergent thread(s) in warp (compute-sanitizer synccheck)"),
}


def artifact(name: str) -> Artifact:
    return Artifact("torch", "probe", path="probe.so", sources={name: f"/build/src/{name}"})


@pytest.mark.parametrize("text", SAID, ids=["memcheck", "racecheck", "synccheck"])
def test_a_report_becomes_a_finding_on_the_learners_line(text: str) -> None:
    found = set(kernels.reports(text, artifact("probe.cu")))
    assert {(finding.code, finding.line, finding.message) for finding in found} == {SAID[text]}
    assert {finding.file for finding in found} == {"probe.cu"}


@pytest.mark.parametrize("text", SAID, ids=["memcheck", "racecheck", "synccheck"])
def test_kernels_of_others_are_not_the_learners(text: str) -> None:
    assert list(kernels.reports(text, artifact("mine.cu"))) == []


def test_only_what_is_new_in_the_log_is_told(tmp_path: Path) -> None:
    log = tmp_path / "log"
    kernels.begin(str(log))
    assert kernels.news(str(log)) == ""
    log.write_text(MEMCHECK)
    assert kernels.news(str(log)) == MEMCHECK
    assert kernels.news(str(log)) == ""
    with log.open("a") as file:
        file.write(RACECHECK)
    kernels.begin(str(log))
    assert kernels.news(str(log)) == ""
