"""The worker protocol: typed JSON lines between the engine and a zygote. Data only, both sides import it.

Engine to zygote, one JSON object a line on the zygote's stdin; zygote to engine on its stdout. Requests with
different run ids may overlap; every request ends in exactly one `Done`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from tutor.core.diagnosis import Diagnosis
from tutor.core.verdict import BenchResult, CheckResult

PROTOCOL = 1


class Artifact(msgspec.Struct, frozen=True):
    """What a build made and how a check loads it.

    kind: `extension` (import as `module` from `path`), `library` (ctypes.CDLL of `path`), `torch`
    (torch.ops.load_library of `path`), `python` (no build: import `module` from the first of `sys_path`).
    sys_path: folders put first on sys.path. env: variables set in the child. sources: snapshot path of each learner's
    file by its name, for findings and for checks that read the source. extra: further built files by name.
    """

    kind: Literal["extension", "library", "torch", "python"]
    module: str
    path: str = ""
    sys_path: tuple[str, ...] = ()
    env: dict[str, str] = {}
    sources: dict[str, str] = {}
    extra: dict[str, str] = {}


class Limits(msgspec.Struct, frozen=True):
    """Bounds for one check: wall seconds, resident bytes of its process tree, bytes of output kept."""

    seconds: float = 10.0
    rss_bytes: int = 2 << 30
    output_bytes: int = 1 << 20


class Check(msgspec.Struct, frozen=True, tag="check"):
    """Run the checks `test_*.py` of `folder` against an artifact, one forked child a check, `jobs` at a time.

    first: begin with the checks whose `finds` marker names this code; the order has no other meaning.
    """

    run_id: int
    exercise: str
    folder: str
    artifact: Artifact
    limits: Limits = Limits()
    only: tuple[str, ...] = ()
    first: str = ""
    jobs: int = 2
    seed: int | None = None


class BenchCaseRequest(msgspec.Struct, frozen=True):
    """One case of `bench.py` with its target (ratio) and whether it gates."""

    case: str
    baseline: str
    target: float
    gold: float | None = None
    gated: bool = True


class Bench(msgspec.Struct, frozen=True, tag="bench"):
    """Time `artifact` against the case's baseline, or against a second artifact of the same exercise."""

    run_id: int
    exercise: str
    folder: str
    artifact: Artifact
    cases: tuple[BenchCaseRequest, ...]
    against: Artifact | None = None
    against_name: str = "baseline"
    limits: Limits = Limits(seconds=60.0)
    budget_seconds: float = 3.0
    seed: int | None = None


class Cythonize(msgspec.Struct, frozen=True, tag="cythonize"):
    """Translate one .pyx to C with the warm compiler; `shared` is the qualified name of the shared utility module."""

    run_id: int
    source: str
    output: str
    shared: str = ""
    annotate: bool = False
    cplus: bool = False


class Diagnose(msgspec.Struct, frozen=True, tag="diagnose"):
    """Examine a statement of the user's, after `setup`. seconds: for one run of it. faults: also fail API calls."""

    run_id: int
    statement: str
    setup: str = ""
    seconds: float = 10.0
    faults: bool = False
    limits: Limits = Limits(seconds=300.0)


class Warm(msgspec.Struct, frozen=True, tag="warm"):
    """Import these modules and put these folders on sys.path now, before any fork."""

    run_id: int
    modules: tuple[str, ...] = ()
    sys_path: tuple[str, ...] = ()
    preload: tuple[str, ...] = ()


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Kill the whole process tree of a run. Its request still ends in a `Done` (outcome `cancelled`)."""

    run_id: int


class Quit(msgspec.Struct, frozen=True, tag="quit"):
    """Kill everything and exit."""


Request = Check | Bench | Cythonize | Diagnose | Warm | Cancel | Quit


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The zygote has imported its flavour; `gpu` names the device where one is usable."""

    flavour: str
    pid: int
    python: str
    seconds: float
    protocol: int = PROTOCOL
    gpu: str = ""


class Announced(msgspec.Struct, frozen=True, tag="announced"):
    """The checks that will run. A run passes only when every one of these has reported a pass."""

    run_id: int
    ids: tuple[str, ...]


class Started(msgspec.Struct, frozen=True, tag="started"):
    """One check or benchmark case begins."""

    run_id: int
    id: str


class Checked(msgspec.Struct, frozen=True, tag="checked"):
    """One check has reported, or its process died and this says how."""

    run_id: int
    result: CheckResult


class Benched(msgspec.Struct, frozen=True, tag="benched"):
    """A benchmark case: intermediate intervals while it runs, `final` once."""

    run_id: int
    result: BenchResult
    final: bool


class Diagnosed(msgspec.Struct, frozen=True, tag="diagnosed"):
    """The answer to a Diagnose."""

    run_id: int
    diagnosis: Diagnosis


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The request has ended. `failed` is the learner's doing (see findings), `broken` is ours, with the traceback."""

    run_id: int
    outcome: Literal["ok", "failed", "cancelled", "broken"]
    message: str = ""
    seconds: float = 0.0
    result: CheckResult | None = None


Reply = Ready | Announced | Started | Checked | Benched | Diagnosed | Done

encode = msgspec.json.Encoder().encode
decode_request = msgspec.json.Decoder(Request).decode
decode_reply = msgspec.json.Decoder(Reply).decode
