"""What autograd and torch.compile must know about torch.ops.swa, whose kernels are in swa.cpp."""

import torch


def setup_context(ctx, inputs, output):
    """Keep q, k, v, the result and its log-sum-exp: everything that is as long as the sequence, nothing that is squared."""
    # @gap
    q, k, v, ctx.window, ctx.cap = inputs
    out, lse = output
    ctx.save_for_backward(q, k, v, out, lse)
    ctx.mark_non_differentiable(lse)
    #| pass  # TODO
    # @end


def backward(ctx, grad, _):
    """Gradients for q, k, v; window and cap have none. The second argument is that of lse, which isn't differentiable."""
    # @gap
    dq, dk, dv = torch.ops.swa.backward(grad, *ctx.saved_tensors, ctx.window, ctx.cap)
    return dq, dk, dv, None, None
    #| return grad, grad, grad, None, None  # TODO
    # @end


torch.library.register_autograd("swa::forward", backward, setup_context=setup_context)


@torch.library.register_fake("swa::forward")
def forward_fake(q, k, v, window, cap):
    """Dense results."""
    return q.new_empty(q.shape), q.new_empty(q.shape[:3])


@torch.library.register_fake("swa::backward")
def backward_fake(grad, q, k, v, out, lse, window, cap):
    """Three dense gradients."""
    return q.new_empty(q.shape), q.new_empty(q.shape), q.new_empty(q.shape)
