"""Autograd of rope_cuda::rotate_."""

import torch
from torch.autograd import Function

OPERATOR = torch.ops.rope_cuda.rotate_.default


class _RotateInPlace(Function):
    @staticmethod
    def forward(x, cos, sin, inverse):
        with torch._C._AutoDispatchBelowAutograd():
            OPERATOR(x, cos, sin, inverse)
        return x

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, *tables, inverse = inputs
        ctx.save_for_backward(*tables)
        ctx.turns_back = inverse
        ctx.mark_dirty(x)

    @staticmethod
    def backward(ctx, grad_out):
        if not ctx.needs_input_grad[0]:
            return None, None, None, None
        turned = torch.empty(grad_out.shape, dtype=grad_out.dtype, device=grad_out.device)
        turned.copy_(grad_out)
        OPERATOR(turned, *ctx.saved_tensors, inverse=not ctx.turns_back)
        return turned, None, None, None


@torch.library.impl("rope_cuda::rotate_", "Autograd")
def _autograd(x, cos, sin, inverse=False):
    _RotateInPlace.apply(x, cos, sin, inverse)


torch.library.register_fake("rope_cuda::rotate_", lambda x, cos, sin, inverse=False: None)
