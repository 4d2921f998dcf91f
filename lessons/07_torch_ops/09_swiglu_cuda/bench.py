"""Benchmark of op-swiglu-cuda: a kernel each way against eager's silu and multiplication, and against a copy."""

from tutor.worker.case import Case

ROWS, COLS = 2048, 8192


def activations(train):
    """Inputs (gate, up, grad): what the two projections of a feed-forward block give, and a gradient for the result."""

    def make(rng):
        import torch

        generator = torch.Generator("cuda").manual_seed(int(rng.integers(1 << 31)))
        # Made on the device: 200 MB through numpy would take longer than the measurement.
        gate, up, grad = (
            torch.empty(ROWS, COLS, device="cuda").uniform_(-width, width, generator=generator) for width in (4, 2, 0.2)
        )
        torch.cuda.synchronize()  # so that what this takes is known, and fewer calls are made if it is long
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


def copied(source, into, gate, up):
    """As many bytes read and written as forward needs, and nothing computed."""
    into.copy_(source)
    return gate, up


def half_as_much_again(inputs):
    """Forward reads two arrays and writes one: a copy moves the same when it reads and writes one and a half."""
    import torch

    gate, up, _ = inputs
    source = torch.cat((gate.flatten(), up.flatten()[: up.numel() // 2]))
    return source, torch.empty_like(source), gate, up


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


def verify_copy(inputs, got, want):
    """The baseline computes nothing: what has to come out is computed here."""
    gate, up = want
    verify(inputs, got, eager(gate, up, None))


def case(train, baseline, check, prepare_baseline=None):
    """Forward reads two arrays and writes one; backward reads these two and the gradient, and writes two."""
    return Case(
        make=activations(train),
        learner=operator,
        baseline=baseline,
        verify=check,
        prepare=registered,
        prepare_baseline=prepare_baseline,
        bytes=ROWS * COLS * 4 * (3 + 5 * train),
        flops=ROWS * COLS * (5 + 13 * train),  # gate * 1 / (1 + exp(-gate)) * up, and its two derivatives
    )


CASES = {
    "ffn-train-2048x8192": case(True, eager, verify),
    "ffn-infer-2048x8192": case(False, eager, verify),
    "ffn-infer-2048x8192-copy": case(False, copied, verify_copy, half_as_much_again),
}
