"""What autograd and torch.compile must know about torch.ops.rope_cuda.rotate_, which rope_binding.cpp defines."""

import torch


class Rotate(torch.autograd.Function):
    """`rotate_` for autograd. Only the tables are kept for the backward: a rotation needs its angles, not its input."""

    @staticmethod
    def forward(ctx, x, cos, sin, inverse):
        # @gap
        ctx.mark_dirty(x)
        ctx.save_for_backward(cos, sin)
        ctx.inverse = inverse
        #| # TODO: tell autograd that x is written, and keep what backward needs.
        # @end
        # Below autograd, so that the call finds the CUDA kernel instead of this function again.
        with torch._C._AutoDispatchBelowAutograd():
            torch.ops.rope_cuda.rotate_(x, cos, sin, inverse)
        return x

    @staticmethod
    def backward(ctx, grad):
        # @gap
        cos, sin = ctx.saved_tensors
        # The gradient that comes in belongs to others: turn a copy. The inverse of a rotation is its transpose.
        grad = grad.clone()
        torch.ops.rope_cuda.rotate_(grad, cos, sin, not ctx.inverse)
        return grad, None, None, None
        #| # TODO: one gradient for each argument of forward; None for what has none.
        #| return grad, None, None, None
        # @end


def rotate_for_autograd(x, cos, sin, inverse=False):
    """What the dispatcher calls for the key Autograd; the schema returns nothing."""
    Rotate.apply(x, cos, sin, inverse)


# register_autograd takes functional operators only: one that writes needs a kernel for the Autograd key itself.
library = torch.library.Library("rope_cuda", "IMPL")
library.impl("rotate_", rotate_for_autograd, "Autograd")


@torch.library.register_fake("rope_cuda::rotate_")
def rotate_fake(x, cos, sin, inverse=False):
    """No result, so no shapes to tell."""
