"""Operators with one defect each, and `right`, `right_` without: registered through torch.library, like a learner's."""

import torch

LIBRARY = torch.library.Library("planted", "DEF")


def register(schema, kernel, fake=None, backward=None):
    """One operator with a CPU kernel, a fake kernel, and a backward(ctx, grad) that finds x in ctx.saved_tensors."""
    name = schema.split("(")[0]
    LIBRARY.define(schema)
    LIBRARY.impl(name, kernel, "CPU")
    if fake:
        torch.library.register_fake(f"planted::{name}", fake, lib=LIBRARY)
    if backward:
        torch.library.register_autograd(f"planted::{name}", backward, setup_context=keep, lib=LIBRARY)


def keep(ctx, inputs, output):
    ctx.save_for_backward(inputs[0])


def square(x):
    return x * x


def twice_x(ctx, grad):
    return grad * 2 * ctx.saved_tensors[0]


def as_if_dense(tensor):
    """The first numel() elements of its memory, whatever its strides: what a kernel does with a bare data_ptr."""
    flat = torch.as_strided(tensor, (tensor.numel(),), (1,), tensor.storage_offset())
    return flat.clone().view(tensor.shape)


def room(tensor):
    """as_if_dense reads inside the storage: the poison of a wide row is there, a stride of 0 has too little."""
    need = tensor.storage_offset() + tensor.numel()
    return need * tensor.element_size() <= tensor.untyped_storage().nbytes()


def dense_gradient(ctx, grad):
    return (as_if_dense(grad) if room(grad) else grad) * 2 * ctx.saved_tensors[0]


def writes_gradient(ctx, grad):
    grad.mul_(2)
    return grad * ctx.saved_tensors[0]


def doubled_behind_the_back(x):
    x.data.numpy()[...] *= 2  # no version is counted


def doubled_in_place(x):
    x.mul_(2)


def with_a_copy(x):
    x.copy_((x * 2) + (x.clone() * 0))


def sneaky(x):
    x.add_(1)
    return x * x


def no_grad_at_all(ctx, grad):
    return None


register("right(Tensor x) -> Tensor", square, torch.empty_like, twice_x)
register("right_(Tensor(a!) x) -> ()", doubled_in_place, lambda x: None)
register("writes(Tensor x) -> Tensor", sneaky, torch.empty_like, twice_x)
register("shares(Tensor x) -> Tensor", lambda x: x.view(-1), lambda x: x.new_empty(x.numel()), twice_x)
register("unknown(Tensor x) -> Tensor", square, None, twice_x)
register("another_shape(Tensor x) -> Tensor", square, lambda x: x.new_empty(x.shape[::-1]), twice_x)
register("another_dtype(Tensor x) -> Tensor", square, lambda x: torch.empty_like(x, dtype=torch.float16), twice_x)
register("unregistered(Tensor x) -> Tensor", square, torch.empty_like)
register("factor_left_out(Tensor x) -> Tensor", square, torch.empty_like, lambda ctx, grad: grad * ctx.saved_tensors[0])
register("nothing_back(Tensor x) -> Tensor", square, torch.empty_like, no_grad_at_all)
register("dense_gradient(Tensor x) -> Tensor", square, torch.empty_like, dense_gradient)
register("writes_gradient(Tensor x) -> Tensor", square, torch.empty_like, writes_gradient)
register("dense_input(Tensor x) -> Tensor", lambda x: as_if_dense(x) ** 2 if room(x) else x * x, torch.empty_like)
register("unseen_(Tensor(a!) x) -> ()", doubled_behind_the_back, lambda x: None)
register("copies_(Tensor(a!) x) -> ()", with_a_copy, lambda x: None)
