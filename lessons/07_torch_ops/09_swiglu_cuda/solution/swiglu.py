"""What autograd and torch.compile must know about torch.ops.swiglu_cuda, whose kernels are in swiglu.cu."""

import torch


def setup_context(ctx, inputs, output):
    """Keep what the backward needs and nothing else: save_for_backward, so that hooks and version checks see it."""
    # @gap
    gate, up = inputs
    ctx.save_for_backward(gate, up)
    #| pass  # TODO
    # @end


def backward(ctx, grad):
    """One gradient for each argument; None for what nobody needs (ctx.needs_input_grad)."""
    # @gap
    gate, up = ctx.saved_tensors
    needs_gate, needs_up = ctx.needs_input_grad
    grad_gate, grad_up = torch.ops.swiglu_cuda.backward(grad, gate, up, needs_gate, needs_up)
    return grad_gate if needs_gate else None, grad_up if needs_up else None
    #| return grad, grad  # TODO
    # @end


torch.library.register_autograd("swiglu_cuda::forward", backward, setup_context=setup_context)


@torch.library.register_fake("swiglu_cuda::forward")
def forward_fake(gate, up):
    """Dense, whatever the strides of the arguments."""
    return gate.new_empty(gate.shape)


@torch.library.register_fake("swiglu_cuda::backward")
def backward_fake(grad, gate, up, needs_gate, needs_up):
    """What isn't needed has no elements."""
    return gate.new_empty(gate.shape if needs_gate else 0), gate.new_empty(gate.shape if needs_up else 0)
