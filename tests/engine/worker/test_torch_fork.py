"""Every process that is forked for learner code renews torch's thread pool before anything else of torch runs."""

from __future__ import annotations

import sys
import types

import pytest

from tutor.core.protocol import Limits
from tutor.worker.channel import Channel
from tutor.worker.child import Watch
from tutor.worker.probe.forked import run_forked


@pytest.fixture
def threads_set(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What set_num_threads of a torch that has three threads was called with."""
    calls: list[int] = []
    torch = types.ModuleType("torch")
    torch.get_num_threads = lambda: 3  # type: ignore[attr-defined]
    torch.set_num_threads = calls.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", torch)
    return calls


def test_a_pass_of_the_probe(threads_set: list[int]) -> None:
    assert run_forked(lambda: threads_set).value == [3]
    assert threads_set == []  # only the child's pool is broken


def test_a_check(threads_set: list[int]) -> None:
    watch = Watch()

    def body(channel: Channel) -> None:
        channel.send("said", threads_set)

    child = watch.fork("it", body, Limits(seconds=10))
    while child.status is None:
        watch.step()
    assert [(message.kind, bytes(message.body)) for message in child.messages] == [("said", b"[3]")]
    assert threads_set == []


def test_a_torch_that_is_being_imported_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))
    assert run_forked(lambda: 7).value == 7
