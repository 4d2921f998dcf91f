"""The `gpu` fixture on a device: each broken rule is named, right calls stay silent."""

from __future__ import annotations

from pathlib import Path

import pytest
from worker_harness import Outcome, outcome_of_checks

from tutor.core.verdict import Outcome as Verdict
from tutor.worker.plugin import gpu_problem

pytestmark = [pytest.mark.slow, pytest.mark.gpu]

PLANTED = Path(__file__).with_name("planted_gpu.py")
CHECKS = """
    import torch

    def x(size=300, grad=False):
        return torch.linspace(0.5, 2, size, device="cuda").requires_grad_(grad)

    def test_stream_right(built, gpu): gpu.stream(built.right, x())
    def test_stream_right_in_place(built, gpu): gpu.stream(built.right_, x())
    def test_stream_with_backward(built, gpu): gpu.stream(built.with_backward, x(grad=True))
    def test_stream_waits(built, gpu): gpu.stream(built.waits, x())
    def test_stream_default(built, gpu): gpu.stream(built.on_the_default_stream, x())

    def test_graph_right(built, gpu): gpu.graph(built.right, x())
    def test_graph_right_in_place(built, gpu): gpu.graph(built.right_, x())
    def test_graph_with_backward(built, gpu): gpu.graph(built.with_backward, x(grad=True))
    def test_graph_waits(built, gpu): gpu.graph(built.waits, x())
    def test_graph_value(built, gpu): gpu.graph(built.asks_for_a_value, x())
    def test_graph_default(built, gpu): gpu.graph(built.on_the_default_stream, x())

    def test_extra_right(built, gpu): gpu.extra(built.right_, x(1 << 20))
    def test_extra_allowed(built, gpu): gpu.extra(built.right, x(1 << 20), allowed=8 << 20)
    def test_extra_copies(built, gpu): gpu.extra(built.copies_, x(1 << 20))

    def test_leak_right(built, gpu): gpu.leak(built.right, x())
    def test_leak_keeps(built, gpu): gpu.leak(built.keeps, x())
    def test_leak_keeps_from_the_pool(built, gpu): gpu.leak(built.keeps_driver_memory, x())
"""
SAID = {
    "stream default": ("cuda-stream", "ran before the work that was queued in front of it"),
    "graph waits": ("cuda-stream", "can't be captured in a CUDA graph"),
    "graph value": ("cuda-stream", "can't be captured in a CUDA graph"),
    "graph default": ("cuda-stream", "CUDA graph"),
    "extra copies": ("hidden-copy", "bytes of device memory more while it runs"),
    "leak keeps": ("memory-leak", "bytes of device memory a call"),
    "leak keeps from the pool": ("memory-leak", "bytes of device memory a call"),
}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    problem = gpu_problem()
    if problem:
        pytest.skip(problem)
    return outcome_of_checks("cuda", PLANTED, CHECKS, tmp_path_factory.mktemp("gpu"))


@pytest.mark.parametrize("name", SAID)
def test_a_broken_rule_is_named(seen: Outcome, name: str) -> None:
    code, words = SAID[name]
    result = seen.results[name]
    assert [finding.code for finding in result.findings] == [code], result.message
    assert words in result.findings[0].message


def test_right_calls_are_silent(seen: Outcome) -> None:
    silent = [result for name, result in seen.results.items() if name not in SAID]
    assert len(silent) == 10
    assert {result.id: result.message for result in silent if result.outcome is not Verdict.PASS} == {}
