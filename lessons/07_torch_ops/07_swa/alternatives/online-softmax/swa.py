"""Autograd and shapes of the swa operators."""

import torch

ops = torch.ops.swa


def _setup(ctx, inputs, output):
    *tensors, window, cap = inputs
    ctx.save_for_backward(*tensors, *output)
    ctx.options = window, cap
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)


def _backward(ctx, grad_out, grad_lse):
    if grad_out is None:
        return (None,) * 5
    grads = ops.backward(grad_out, *ctx.saved_tensors, *ctx.options)
    wanted = [grad if needed else None for grad, needed in zip(grads, ctx.needs_input_grad[:3], strict=True)]
    return (*wanted, None, None)


torch.library.register_autograd("swa::forward", _backward, setup_context=_setup)


@torch.library.register_fake("swa::forward")
def _(q, k, v, window, cap):
    batch, heads, positions, _dim = q.shape
    return torch.empty_like(q, memory_format=torch.contiguous_format), q.new_empty(batch, heads, positions)


@torch.library.register_fake("swa::backward")
def _(grad, q, k, v, out, lse, window, cap):
    return tuple(torch.empty_like(t, memory_format=torch.contiguous_format) for t in (q, k, v))
