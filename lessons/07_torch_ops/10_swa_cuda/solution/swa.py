"""What autograd and torch.compile must know about torch.ops.swa_cuda. Given: it is what you wrote for op-swa."""

import torch


def setup_context(ctx, inputs, output):
    """Keep q, k, v, the result and its log-sum-exp: all as long as the sequence, nothing squared."""
    q, k, v, ctx.window, ctx.cap = inputs
    out, lse = output
    ctx.save_for_backward(q, k, v, out, lse)
    ctx.mark_non_differentiable(lse)


def backward(ctx, grad, _):
    """Gradients for q, k, v; window and cap have none. The second argument is that of lse, which isn't differentiable."""
    dq, dk, dv = torch.ops.swa_cuda.backward(grad, *ctx.saved_tensors, ctx.window, ctx.cap)
    return dq, dk, dv, None, None


torch.library.register_autograd("swa_cuda::forward", backward, setup_context=setup_context)


@torch.library.register_fake("swa_cuda::forward")
def forward_fake(q, k, v, window, cap):
    """Dense results."""
    return q.new_empty(q.shape), q.new_empty(q.shape[:3])


@torch.library.register_fake("swa_cuda::backward")
def backward_fake(grad, q, k, v, out, lse, window, cap):
    """Three dense gradients."""
    return q.new_empty(q.shape), q.new_empty(q.shape), q.new_empty(q.shape)
