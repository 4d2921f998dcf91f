"""Autograd and shapes for the swiglu operators."""

import torch
from torch.library import register_autograd, register_fake


def keep(ctx, inputs, output):
    ctx.save_for_backward(*inputs)


def gradients(ctx, grad_output):
    tensors, needed = ctx.saved_tensors, tuple(ctx.needs_input_grad)
    results = [None, None]
    if any(needed):
        computed = torch.ops.swiglu_cuda.backward(grad_output, *tensors, *needed)
        for position in range(2):
            if needed[position]:
                results[position] = computed[position]
    return tuple(results)


register_autograd("swiglu_cuda::forward", gradients, setup_context=keep)


@register_fake("swiglu_cuda::forward")
def _(gate, up):
    return torch.empty(gate.shape, dtype=gate.dtype, device=gate.device)


@register_fake("swiglu_cuda::backward")
def _(grad, gate, up, needs_gate, needs_up):
    def like_gate(needed):
        shape = tuple(gate.shape) if needed else (0,)
        return torch.empty(shape, dtype=gate.dtype, device=gate.device)

    return like_gate(needs_gate), like_gate(needs_up)
