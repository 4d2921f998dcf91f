"""Benchmark of op-rope-cuda: one kernel over q in a grouped-query projection, against eager and against a copy."""

from tutor.worker.case import Case

# One layer of an 8-billion model: 32 heads of queries, 8 of keys, 8 of values, 4,096 tokens.
POSITIONS, HEADS, OTHERS, DIM = 4096, 32, 16, 128


def projected(dtype):
    """Inputs (qkv, cos, sin): what the fused projection writes, and the tables of angles."""

    def make(rng):
        import numpy as np
        import torch

        generator = torch.Generator("cuda").manual_seed(int(rng.integers(1 << 31)))
        kind = getattr(torch, dtype)
        # Made on the device: 100 MB through numpy would take longer than the measurement.
        qkv = torch.empty(1, POSITIONS, (HEADS + OTHERS) * DIM, dtype=kind, device="cuda").normal_(generator=generator)
        speed = 10000.0 ** (-np.arange(0, DIM, 2) / DIM)
        angle = torch.from_numpy(np.outer(np.arange(POSITIONS) + rng.integers(1000), speed)).cuda()
        made = qkv, angle.cos().to(kind), angle.sin().to(kind)
        torch.cuda.synchronize()  # so that what this takes is known, and fewer calls are made if it is long
        return made

    return make


def queries(qkv):
    return qkv[..., : HEADS * DIM].unflatten(-1, (HEADS, DIM))


def eager(qkv, cos, sin):
    """The formula of the papers and model files: x * cos + rotate_half(x) * sin. Returns a new q."""
    import torch

    q = queries(qkv)
    u, v = q.chunk(2, dim=-1)
    wide_cos, wide_sin = torch.cat((cos, cos), dim=-1)[:, None], torch.cat((sin, sin), dim=-1)[:, None]
    return q * wide_cos + torch.cat((-v, u), dim=-1) * wide_sin


def copied(q, into, cos, sin):
    """As many bytes read and written as a rotation needs, and nothing computed."""
    return into.copy_(q)


def dense_queries(inputs):
    import torch

    qkv, cos, sin = inputs
    q = queries(qkv).contiguous()
    return q, torch.empty_like(q), cos, sin


def operator(built, qkv, cos, sin):
    q = queries(qkv)
    built.rotate_(q, cos, sin)
    return q


def registered(built, inputs):
    """Import what the learner registers for autograd: its cost is part of every call."""
    import rope  # noqa: F401

    return inputs


def rotated(q, cos, sin):
    """In float64: `eager` on a buffer that has q only."""
    import torch

    u, v = q.double().chunk(2, dim=-1)
    c, s = cos.double()[:, None], sin.double()[:, None]
    return torch.cat((u * c - v * s, v * c + u * s), dim=-1)


def close(got, want, relative, absolute):
    import torch

    assert torch.allclose(got.to(want.dtype), want, rtol=relative, atol=absolute), (
        f"q differs by up to {float((got.to(want.dtype) - want).abs().max()):.3g}"
    )


def verify(inputs, got, want):
    assert got.data_ptr() == inputs[0].data_ptr(), "q was not rotated in place"
    # Eager rounds each product to bfloat16: values up to 8, of which half a last place is 1/64, three times.
    relative, absolute = (1e-5, 1e-5) if str(got.dtype) == "torch.float32" else (2.0**-7, 0.06)
    close(queries(inputs[0]), want, relative, absolute)


def verify_copy(inputs, got, want):
    """The baseline returns q as it was: what it has to become is computed here."""
    qkv, cos, sin = inputs
    assert got.data_ptr() == qkv.data_ptr(), "q was not rotated in place"
    close(got, rotated(want, cos, sin), 1e-5, 1e-5)


def case(dtype, baseline, check, prepare_baseline=None):
    """q is read and written in place, the tables are read once: the heads of a position share them."""
    return Case(
        make=projected(dtype),
        learner=operator,
        baseline=baseline,
        verify=check,
        prepare=registered,
        prepare_baseline=prepare_baseline,
        mutates=True,
        bytes=(4 if dtype == "float32" else 2) * (2 * POSITIONS * HEADS * DIM + POSITIONS * DIM),
        flops=3 * POSITIONS * HEADS * DIM,  # four products and two sums a pair
    )


CASES = {
    "prefill-4096": case("float32", eager, verify),
    "prefill-4096-copy": case("float32", copied, verify_copy, dense_queries),
    "prefill-4096-bfloat16": case("bfloat16", eager, verify),
}
