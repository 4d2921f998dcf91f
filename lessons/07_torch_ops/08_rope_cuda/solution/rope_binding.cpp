// Registers rotate_ for CUDA tensors, through the stable ABI. Given: read it, the kernel relies on it.
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <algorithm>

#include "rope.h"

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// Whether two indices of a tensor may mean the same memory: then two threads would turn it.
static bool overlaps(const Tensor &x) {
    if (x.numel() == 0) return false;
    int64_t order[4] = {0, 1, 2, 3}, span = 1;
    std::sort(order, order + 4, [&](int64_t a, int64_t b) { return x.stride(a) < x.stride(b); });
    for (const int64_t axis : order) {
        if (x.size(axis) <= 1) continue;
        if (x.stride(axis) < span) return true;
        span += (x.size(axis) - 1) * x.stride(axis);
    }
    return false;
}

static void check(const Tensor &x, const Tensor &cos, const Tensor &sin) {
    const ScalarType dtype = x.scalar_type();
    STD_TORCH_CHECK(x.dim() == 4, "rotate_: x must be (batch, positions, heads, dim), it has ", x.dim(), " dimensions");
    STD_TORCH_CHECK(x.size(3) % 2 == 0, "rotate_: dim must be even, it is ", x.size(3));
    STD_TORCH_CHECK(dtype == ScalarType::Float || dtype == ScalarType::BFloat16,
                    "rotate_: x must be float32 or bfloat16, it is ", torch::headeronly::toString(dtype));
    for (const Tensor *table : {&cos, &sin}) {
        STD_TORCH_CHECK(table->dim() == 2 && table->size(0) == x.size(1) && table->size(1) == x.size(3) / 2,
                        "rotate_: cos and sin must be (positions, dim / 2)");
        STD_TORCH_CHECK(table->scalar_type() == dtype, "rotate_: cos and sin must have the dtype of x");
        STD_TORCH_CHECK(table->get_device_index() == x.get_device_index(),
                        "rotate_: cos and sin must be on the device of x");
    }
    STD_TORCH_CHECK(x.size(0) * x.size(1) < (int64_t{1} << 31), "rotate_: batch * positions must be below 2^31");
    STD_TORCH_CHECK(!overlaps(x), "rotate_: elements of x share memory, so they can't be written one by one");
}

static void rotate_(const Tensor &x, const Tensor &cos, const Tensor &sin, bool inverse) {
    check(x, cos, sin);
    // x may live on cuda:1 while cuda:0 is current: launch where x is, on the stream that the caller made current there.
    const int32_t device = x.get_device_index();
    const torch::stable::accelerator::DeviceGuard guard(device);
    void *current = nullptr;
    TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(device, &current));
    const auto stream = static_cast<cudaStream_t>(current);

    // The tables are small: a dense copy of a view of them is no loss. x itself is never copied.
    const Tensor c = torch::stable::contiguous(cos), s = torch::stable::contiguous(sin);
    const Heads shape{x.size(0), x.size(1), x.size(2), x.size(3), x.stride(0), x.stride(1), x.stride(2), x.stride(3)};
    cudaError_t error = cudaSuccess;
    if (x.scalar_type() == ScalarType::Float) {
        error = rotate_float32_launch(x.mutable_data_ptr<float>(), c.const_data_ptr<float>(), s.const_data_ptr<float>(),
                                      shape, inverse, stream);
    } else {
        error = rotate_bfloat16_launch(x.mutable_data_ptr(), c.const_data_ptr(), s.const_data_ptr(), shape, inverse,
                                       stream);
    }
    STD_TORCH_CHECK(error == cudaSuccess, "rotate_: launch failed: ", cudaGetErrorString(error));
}

STABLE_TORCH_LIBRARY(rope_cuda, m) {
    m.def("rotate_(Tensor(a!) x, Tensor cos, Tensor sin, bool inverse=False) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(rope_cuda, CUDA, m) {
    m.impl("rotate_", TORCH_BOX(&rotate_));
}
