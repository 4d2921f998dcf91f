"""Benchmark of op-swiglu: one pass each way against eager PyTorch's silu and multiplication."""

from tutor.worker.case import Case


def activations(rows, cols, train):
    """Inputs (gate, up, grad): what the two projections of a feed-forward block give, and a gradient for the result."""

    def make(rng):
        import numpy as np
        import torch

        gate, up, grad = (
            torch.from_numpy(rng.random((rows, cols), dtype=np.float32)).sub_(0.5).mul_(width) for width in (8, 4, 0.4)
        )
        return gate.requires_grad_(train), up.requires_grad_(train), grad

    return make


def eager(gate, up, grad):
    """What model files say: act_fn(gate_proj(x)) * up_proj(x). Returns the result, or the gradients of both."""
    import torch

    result = torch.nn.functional.silu(gate) * up
    return torch.autograd.grad(result, (gate, up), grad) if gate.requires_grad else (result,)


def operator(built, gate, up, grad):
    import torch

    result = built.forward(gate, up)
    return torch.autograd.grad(result, (gate, up), grad) if gate.requires_grad else (result,)


def registered(built, inputs):
    """Import what the learner registers for autograd."""
    import swiglu  # noqa: F401

    return inputs


def verify(inputs, got, want):
    import torch

    assert len(got) == len(want), f"{len(got)} results, want {len(want)}"
    for mine, theirs in zip(got, want, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-4, atol=1e-5), (
            f"differs from eager by up to {float((mine - theirs).abs().max()):.3g}"
        )


ROWS, COLS = 512, 2816


def case(train):
    """Forward reads two arrays and writes one; backward reads these two and the gradient, and writes two."""
    return Case(
        make=activations(ROWS, COLS, train),
        learner=operator,
        baseline=eager,
        verify=verify,
        prepare=registered,
        bytes=ROWS * COLS * 4 * (3 + 5 * train),
        flops=ROWS * COLS * (5 + 13 * train),  # gate / (1 + exp(-gate)) * up, and its two derivatives
    )


CASES = {"ffn-train-512x2816": case(True), "ffn-infer-512x2816": case(False)}
