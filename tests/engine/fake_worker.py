"""A worker that speaks the protocol and does what the file `behaviour` of the exercise's folder says."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

from tutor.core import protocol as p
from tutor.core.finding import Finding
from tutor.core.verdict import BenchResult, CheckResult, Outcome

cancelled: set[int] = set()


def say(reply: p.Reply) -> None:
    sys.stdout.buffer.write(p.encode(reply) + b"\n")
    sys.stdout.buffer.flush()


def check(request: p.Check) -> None:
    behaviour = Path(request.folder, "behaviour").read_text().strip()
    run = request.run_id
    say(p.Announced(run, ("one", "two")))
    say(p.Checked(run, CheckResult("one", Outcome.PASS)))
    if behaviour in ("hang", "end slowly"):
        while run not in cancelled:
            time.sleep(0.01)
        if behaviour == "end slowly":
            time.sleep(0.5)
            Path(request.folder, "ended").touch()
        say(p.Done(run, "cancelled"))
    elif behaviour == "die":
        print("cannot go on", file=sys.stderr, flush=True)
        os._exit(7)
    elif behaviour == "die once" and not Path(request.folder, "died").exists():
        Path(request.folder, "died").touch()
        os._exit(7)
    elif behaviour == "silent":
        say(p.Done(run, "ok"))
    elif behaviour == "broken":
        say(p.Done(run, "broken", "ZeroDivisionError"))
    elif behaviour == "fail":
        finding = Finding("wrong-result", "1 + 1 is 3", "add.c", 3)
        say(p.Checked(run, CheckResult("two", Outcome.FAIL, "1 + 1 is 3", findings=(finding,))))
        say(p.Done(run, "failed"))
    else:
        outcome = Outcome.SKIPPED if behaviour == "skip" else Outcome.PASS
        say(p.Checked(run, CheckResult("two", outcome)))
        say(p.Done(run, "ok"))


def bench(request: p.Bench) -> None:
    behaviour = Path(request.folder, "behaviour").read_text().strip()
    value = 1.0 if "slow" in behaviour else 9.0
    wide = "noisy" in behaviour
    for case in request.cases:
        met = None if wide else value >= case.target
        result = BenchResult(case.case, case.baseline, value, value / 2, value * 2, case.target, met)
        say(p.Benched(request.run_id, result, False))
        if behaviour == "wrong-timed":
            say(p.Done(request.run_id, "failed", "sum 0.0, want 4.0"))
            return
        say(p.Benched(request.run_id, result, True))
    with Path(request.folder, "budgets").open("a") as file:
        file.write(f"{request.budget_seconds} {request.against_name}\n")
    say(p.Done(request.run_id, "ok"))


def serve() -> None:
    with Path(os.environ.get("FAKE_WORKER_LOG", os.devnull)).open("a") as log:
        log.write(f"{os.getpid()}\n")
    say(p.Ready(sys.argv[-1], os.getpid(), "3", 0.0))
    for line in sys.stdin.buffer:
        match p.decode_request(line):
            case p.Check() as request:
                threading.Thread(target=check, args=(request,), daemon=True).start()
            case p.Bench() as request:
                bench(request)
            case p.Cancel(run_id=run_id):
                cancelled.add(run_id)
            case p.Warm(run_id=run_id):
                say(p.Done(run_id, "ok"))
            case p.Quit():
                return


if __name__ == "__main__":
    serve()
