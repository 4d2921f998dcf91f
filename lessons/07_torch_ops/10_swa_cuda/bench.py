"""Benchmark of op-swa-cuda: N * W scores that stay on the chip against eager PyTorch's N * N. Runs on a GPU only."""

from tutor.worker.case import Case

HEADS, POSITIONS, DIM, WINDOW, CAP = 16, 2048, 64, 128, 30.0


def heads(train):
    """Inputs (q, k, v, grad), each (1, heads, positions, dim)."""

    def make(rng):
        import numpy as np
        import torch

        q, k, v, grad = (
            torch.from_numpy(rng.standard_normal((1, HEADS, POSITIONS, DIM), dtype=np.float32)).cuda() for _ in range(4)
        )
        return (*(t.requires_grad_(train) for t in (q, k, v)), grad)

    return make


def masked(inputs):
    """The baseline gets the mask made beforehand, as a model would keep it: query i sees i - window + 1 ... i."""
    import torch

    i = torch.arange(POSITIONS, device="cuda")
    return *inputs, (i[None] <= i[:, None]) & (i[None] > i[:, None] - WINDOW)


def eager(q, k, v, grad, seen):
    """The formula as it is written; every line is a pass over 16 * positions * positions numbers, 256 MB."""
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
    """Import what is registered for autograd."""
    import swa  # noqa: F401

    return inputs


def close(tolerance):
    def verify(inputs, got, want):
        assert len(got) == len(want), f"{len(got)} results, want {len(want)}"
        for mine, theirs in zip(got, want, strict=True):
            worst = float((mine - theirs).abs().max())
            assert worst < tolerance, f"differs by up to {worst:.3g}"

    return verify


def case(train, baseline, tolerance):
    return Case(
        make=heads(train),
        learner=operator,
        baseline=baseline,
        verify=close(tolerance),
        prepare=registered,
        prepare_baseline=masked,
    )


CASES = {
    "prefill-2048-w128": case(False, eager, 1e-4),
    "train-2048-w128": case(True, eager, 1e-3),
    "sdpa-2048-w128": case(False, masked_sdpa, 0.2),
}
