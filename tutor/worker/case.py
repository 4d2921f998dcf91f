"""A benchmark case as `bench.py` of an exercise declares it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Case:
    """What is timed and how its outputs are verified. Nothing here but `learner` and `baseline` is timed.

    make(rng) -> tuple of inputs; called twice with equal generators, so both sides get equal but separate inputs.
    learner(built, *inputs) and baseline(*inputs) return the output. verify(inputs, got, want) raises AssertionError.
    prepare(built, inputs) and prepare_baseline(inputs) return the inputs that are passed on instead.
    settle(built, inputs): untimed, right before each timed call of the learner's side, and settle(None, inputs) before
    each of the baseline's; not on a GPU. A call of microseconds that comes after a baseline of milliseconds is timed
    in cold caches otherwise: here its code is called once on other data, and its inputs are read.
    mutates: works in place; else the inputs are compared after the call.
    baseline_built: the baseline is compiled into the same library (a given function): it is called as
    baseline(built, *inputs), and its inputs go through `prepare` like the learner's.
    bytes: what one call must read and write at least, each byte once; with it the learner sees how near he is to the
    bandwidth of the machine. flops: additions, multiplications and the like of one call, exp and division as one each.
    """

    make: Callable[[Any], tuple[Any, ...]]
    learner: Callable[..., Any]
    baseline: Callable[..., Any]
    verify: Callable[[tuple[Any, ...], Any, Any], None] | None = None
    prepare: Callable[[Any, tuple[Any, ...]], tuple[Any, ...]] | None = None
    prepare_baseline: Callable[[tuple[Any, ...]], tuple[Any, ...]] | None = None
    settle: Callable[[Any, tuple[Any, ...]], None] | None = None
    mutates: bool = False
    baseline_built: bool = False
    bytes: int = 0
    flops: int = 0
