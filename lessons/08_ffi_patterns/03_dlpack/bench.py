"""Benchmarks of ffi-dlpack: 32 weights of 512 KB each, lent to NumPy and borrowed from it, against copying them."""

from __future__ import annotations

from tutor.worker.case import Case

COUNT, SHAPE = 32, (256, 512)


def weights(rng):
    import numpy as np

    return ([rng.standard_normal(SHAPE, dtype=np.float32) for _ in range(COUNT)],)


def tensors(built, inputs):
    return ([built.Tensor(array, "float32", SHAPE) for array in inputs[0]],)


def lent(built, tensors):
    """As a framework loads a state dict from a library that holds the weights."""
    import numpy as np

    return [np.from_dlpack(tensor) for tensor in tensors]


def borrowed(built, arrays):
    return [built.from_dlpack(array) for array in arrays]


def copied(arrays):
    """What goes without asking whose memory it is."""
    return [array.copy() for array in arrays]


def same(inputs, got, want):
    """By value, and as views: what was written to a copy would be lost."""
    import numpy as np

    for number, (mine, theirs) in enumerate(zip(got, want, strict=True)):
        array = mine if isinstance(mine, np.ndarray) else np.from_dlpack(mine)
        assert np.array_equal(array, theirs), f"weight {number} differs"


CASES = {
    "state-dict-out": Case(make=weights, prepare=tensors, learner=lent, baseline=copied, verify=same),
    "state-dict-in": Case(make=weights, learner=borrowed, baseline=copied, verify=same),
}
