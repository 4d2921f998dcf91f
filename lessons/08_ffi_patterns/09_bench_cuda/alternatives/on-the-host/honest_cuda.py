"""One class, no helpers of torch for comparing: outputs go to the host and NumPy says whether they are right."""

import math
import statistics
import time
from typing import NamedTuple

import numpy as np
import torch


class Dishonest(Exception):
    pass


class Result(NamedTuple):
    speedup: float
    low: float
    high: float


def summary(ratios):
    ratios, n = sorted(ratios), len(ratios)
    out, tail = 0, 0.0
    while (tail := tail + math.comb(n, out) / 2**n) <= 0.025:
        out += 1
    out = max(out - 1, 0)
    return Result(statistics.median(ratios), ratios[out], ratios[n - 1 - out])


def same_bits(a, b):
    return a.cpu().numpy().tobytes() == b.cpu().numpy().tobytes()


def check_output(got, want, rtol):
    facts = [(t.device, t.dtype, tuple(t.shape)) for t in (got, want)]
    if facts[0] != facts[1]:
        raise Dishonest(f"got {facts[0]}, want {facts[1]}")
    mine, theirs = got.cpu().numpy(), want.cpu().numpy()
    if theirs.dtype.kind not in "fc":
        right = mine == theirs
    else:
        with np.errstate(invalid="ignore"):
            right = np.abs(mine - theirs) <= rtol * np.abs(theirs)
        # infinities are their own, and NaN is right where NaN belongs
        right |= (mine == theirs) | (np.isnan(mine) & np.isnan(theirs))
    if not right.all():
        raise Dishonest(f"{np.size(right) - np.count_nonzero(right)} elements are wrong or came too late")


class Harness:
    def __init__(self, cuda=torch.cuda):
        self.cuda = cuda
        self.properties = cuda.get_device_properties(0)
        self.junk = torch.zeros(3 * self.properties.L2_cache_size // 4, dtype=torch.int32, device="cuda")
        self.kept = {}
        for owner in (time, cuda.Stream, cuda.Event, cuda):
            for name, value in vars(owner).items():
                if callable(value):
                    self.kept[owner, name] = value
        self.event, self.record, self.elapsed = cuda.Event, cuda.Event.record, cuda.Event.elapsed_time
        self.synchronize = cuda.synchronize

    def nothing_replaced(self):
        changed = [name for (owner, name), value in self.kept.items() if vars(owner).get(name) is not value]
        if changed:
            raise Dishonest(f"replaced: {', '.join(changed)}")

    def timed(self, call, arrays, values, places):
        here = self.cuda.current_stream()
        start, stop = self.event(enable_timing=True), self.event(enable_timing=True)
        late = []
        for array, value, place in zip(arrays, values, places, strict=True):
            array.copy_(value)
            if array.numel():
                # all bits of one element turned round: whatever it was, it is something else
                late.append((array, value, place))
                spot = array.view(-1)[place : place + 1].view(torch.uint8)
                spot.bitwise_not_()
        for turn in range(6):
            self.junk.fill_(turn)
        for array, value, place in late:
            array.view(-1)[place : place + 1] = value.view(-1)[place : place + 1]
        self.record(start, here)
        output = call(*arrays)
        self.record(stop, here)
        self.nothing_replaced()
        if self.cuda.current_stream() != here:
            raise Dishonest("another stream is current after the call")
        if type(output) is not torch.Tensor:
            raise Dishonest(f"a {type(output).__name__} is no plain tensor")
        copy = torch.empty(output.shape, dtype=output.dtype, device=output.device)
        copy.copy_(torch.Tensor.detach(output))
        self.synchronize()
        return output, copy, self.elapsed(start, stop)

    def measure(self, kernel, reference, make, *, pairs=20, rtol=1e-5):
        rng = np.random.default_rng()
        self.nothing_replaced()
        shapes = make(rng)
        memory = [[torch.empty_like(one) for one in shapes] for _ in range(2)]
        logs, previous = [], None
        for turn in range(4 + pairs + pairs % 2):
            values = make(rng)
            places = [int(rng.integers(max(one.numel(), 1))) for one in values]
            order = ((kernel, 0), (reference, 1))
            results = {}
            for call, side in order if turn % 2 else reversed(order):
                results[side] = self.timed(call, memory[side], values, places)
            (raw, got, fast), (_, want, slow) = results[0], results[1]
            for array, value in zip(memory[0], values, strict=True):
                if not same_bits(array, value):
                    raise Dishonest("an input was changed")
            check_output(got, want, rtol)
            if previous and not same_bits(*previous):
                raise Dishonest("the output before was overwritten")
            previous = raw, got
            logs.append(math.log(slow / fast))
        pairs_of_pairs = zip(logs[4::2], logs[5::2], strict=True)
        return Result(*map(math.exp, summary([(a + b) / 2 for a, b in pairs_of_pairs])))
