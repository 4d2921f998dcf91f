"""Benchmark of op-rope: one pass over q inside the packed buffer, against eager PyTorch as written and as tuned."""

from tutor.worker.case import Case


def packed(batch, positions, heads, dim):
    """Inputs (qkv, cos, sin): the buffer that the fused projection writes, and the tables of angles."""

    def make(rng):
        import numpy as np
        import torch

        # Neither side touches k and v: they stay zero, which saves two thirds of making the inputs.
        qkv = torch.zeros(batch, positions, 3, heads, dim)
        qkv[:, :, 0] = torch.from_numpy(rng.random((batch, positions, heads, dim), dtype=np.float32))
        speed = 10000.0 ** (-np.arange(0, dim, 2) / dim)
        angle = torch.from_numpy(np.outer(np.arange(positions) + rng.integers(1000), speed))
        return qkv, angle.cos().float(), angle.sin().float()

    return make


def eager(qkv, cos, sin):
    """The formula of the papers and model files: x * cos + rotate_half(x) * sin. Returns a new q."""
    import torch

    q = qkv[:, :, 0]
    u, v = q.chunk(2, dim=-1)
    wide_cos, wide_sin = torch.cat((cos, cos), dim=-1)[:, None], torch.cat((sin, sin), dim=-1)[:, None]
    return q * wide_cos + torch.cat((-v, u), dim=-1) * wide_sin


def tuned(qkv, cos, sin):
    """In place, as well as eager can: half of q is copied, and there are five passes over halves."""
    u, v = qkv[:, :, 0].chunk(2, dim=-1)
    c, s, old = cos[:, None], sin[:, None], u.clone()
    u.mul_(c).addcmul_(v, s, value=-1)
    v.mul_(c).addcmul_(old, s)
    return qkv[:, :, 0]


def operator(built, qkv, cos, sin):
    q = qkv[:, :, 0]
    built.rotate_(q, cos, sin)
    return q


def registered(built, inputs):
    """Import what the learner registers for autograd: its cost is part of every call."""
    import rope  # noqa: F401

    return inputs


def verify(inputs, got, want):
    import torch

    inside = inputs[0][:, :, 0]
    assert got.data_ptr() == inside.data_ptr(), "q was not rotated in place"
    assert torch.allclose(inside, want, rtol=1e-5, atol=1e-6), (
        f"q differs from eager by up to {float((inside - want).abs().max()):.3g}"
    )


def case(shape, baseline):
    """q is read and written in place, the two tables are read: once, as the heads of a position share them."""
    batch, positions, heads, dim = shape
    return Case(
        make=packed(*shape),
        learner=operator,
        baseline=baseline,
        verify=verify,
        prepare=registered,
        mutates=True,
        bytes=4 * (2 * batch * positions * heads * dim + 2 * positions * dim // 2),
        flops=3 * batch * positions * heads * dim,  # four products and two sums a pair
    )


CASES = {
    "prefill-2048": case((1, 2048, 32, 128), eager),
    "prefill-2048-tuned": case((1, 2048, 32, 128), tuned),
    "decode-batch-16": case((16, 1, 32, 128), eager),
}
