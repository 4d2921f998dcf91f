"""Benchmark of op-swa: N * W scores in one pass against eager PyTorch's N * N, forward and with backward."""

from tutor.worker.case import Case

HEADS, POSITIONS, DIM, WINDOW, CAP = 2, 2048, 64, 128, 30.0


def heads(train):
    """Inputs (q, k, v, grad), each (1, heads, positions, dim)."""

    def make(rng):
        import numpy as np
        import torch

        q, k, v, grad = (
            torch.from_numpy(rng.standard_normal((1, HEADS, POSITIONS, DIM), dtype=np.float32)) for _ in range(4)
        )
        return (*(t.requires_grad_(train) for t in (q, k, v)), grad)

    return make


def allowed():
    """(positions, positions) bool: query i sees the keys i - window + 1 ... i."""
    import torch

    i = torch.arange(POSITIONS)
    return (i[None] <= i[:, None]) & (i[None] > i[:, None] - WINDOW)


def masked(inputs):
    """The baseline gets the mask made beforehand, as a model would keep it."""
    return *inputs, allowed()


def eager(q, k, v, grad, seen):
    """The formula as it is written; every line is a pass over positions * positions numbers."""
    import torch

    scores = q @ k.transpose(-1, -2) / DIM**0.5
    scores = CAP * torch.tanh(scores / CAP)
    out = scores.masked_fill(~seen, float("-inf")).softmax(-1) @ v
    return torch.autograd.grad(out, (q, k, v), grad) if q.requires_grad else (out,)


def masked_sdpa(q, k, v, grad, seen):
    """PyTorch's fused attention with the mask. It can't cap scores: with these inputs, the cap changes little."""
    import torch

    return (torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=seen),)


def operator(built, q, k, v, grad):
    import torch

    out = built.forward(q, k, v, WINDOW, CAP)[0]
    return torch.autograd.grad(out, (q, k, v), grad) if q.requires_grad else (out,)


def registered(built, inputs):
    """Import what the learner registers for autograd."""
    import swa  # noqa: F401

    return inputs


def close(tolerance):
    def verify(inputs, got, want):
        assert len(got) == len(want), f"{len(got)} results, want {len(want)}"
        for mine, theirs in zip(got, want, strict=True):
            worst = float((mine - theirs).abs().max())
            assert worst < tolerance, f"differs by up to {worst:.3g}"

    return verify


# Positions before the first full window see fewer keys.
PAIRS = HEADS * (POSITIONS * WINDOW - WINDOW * (WINDOW - 1) // 2)
ARRAY = 4 * HEADS * POSITIONS * DIM


def case(train, baseline, tolerance):
    """Forward: q, k, v in, the result out; two products of DIM a pair. Backward: five in, three out, five products."""
    return Case(
        make=heads(train),
        learner=operator,
        baseline=baseline,
        verify=close(tolerance),
        prepare=registered,
        prepare_baseline=masked,
        bytes=ARRAY * (4 + 8 * train),
        flops=PAIRS * 2 * DIM * (2 + 5 * train),
    )


CASES = {
    "prefill-2048-w128": case(False, eager, 1e-4),
    "train-2048-w128": case(True, eager, 1e-3),
    "sdpa-2048-w128": case(False, masked_sdpa, 0.2),
}
