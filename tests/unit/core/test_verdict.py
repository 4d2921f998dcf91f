from __future__ import annotations

import json

from tutor.core.finding import CODES, Finding, Severity
from tutor.core.protocol import Artifact, Bench, Check, Checked, decode_reply, decode_request, encode
from tutor.core.verdict import BenchResult, CheckResult, Outcome, Seconds, Verdict


def verdict() -> Verdict:
    return Verdict(
        "capi-refs",
        "d1",
        Outcome.FAIL,
        "check",
        checks=(CheckResult("a", Outcome.FAIL, "leaks", detail="long"),),
        findings=(
            Finding("slow", "too slow", severity=Severity.WARNING),
            Finding("wrong-result", "off by one"),
            Finding("ref-leak", "leaks", "collate.c", 41, "list", 1.0),
        ),
        bench=(BenchResult("batch", "loop", 3.14159, 3.0, 3.3, 2.0, True),),
        seconds=Seconds(build=0.12345, total=0.5),
    )


def test_document_has_exactly_the_promised_keys() -> None:
    document = json.loads(json.dumps(verdict().document()))
    assert set(document) == {
        *("schema", "exercise", "digest", "verdict", "stage", "message", "remedy"),
        *("checks", "findings", "bench", "seconds"),
    }
    assert set(document["checks"][0]) == {"id", "outcome", "message"}
    assert set(document["findings"][0]) == {"code", "message", "file", "line", "type", "per_call", "severity"}
    assert set(document["bench"][0]) == {"case", "baseline", "speedup", "low", "high", "target", "met"}
    assert set(document["seconds"]) == {"build", "check", "diagnose", "bench", "total"}
    assert document["bench"][0]["speedup"] == 3.142


def test_worst_finding_is_an_error_with_a_line() -> None:
    worst = verdict().worst
    assert worst is not None
    assert worst.code == "ref-leak"
    assert worst.place == "collate.c:41"


def test_every_code_has_a_meaning_and_a_stable_spelling() -> None:
    assert all(code == code.lower() and " " not in code and text for code, text in CODES.items())


def test_messages_survive_the_wire() -> None:
    artifact = Artifact("extension", "collate", "/tmp/x.so", sources={"collate.c": "/tmp/collate.c"})
    for request in (Check(1, "capi-refs", "/x", artifact), Bench(2, "capi-refs", "/x", artifact, ())):
        assert decode_request(encode(request)) == request
    reply = Checked(1, verdict().checks[0])
    assert decode_reply(encode(reply)) == reply
