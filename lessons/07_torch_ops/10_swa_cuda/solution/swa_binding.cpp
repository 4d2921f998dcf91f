// Registers forward and backward for CUDA tensors, through the stable ABI. Given: read it, the kernels rely on it.
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <algorithm>
#include <tuple>

#include "swa.h"

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

static void check(const Tensor &q, const Tensor &k, const Tensor &v, int64_t window, double cap) {
    STD_TORCH_CHECK(q.dim() == 4, "swa: q, k and v must be (batch, heads, positions, dim)");
    for (const Tensor *each : {&q, &k, &v}) {
        STD_TORCH_CHECK(each->scalar_type() == ScalarType::Float, "swa: q, k and v must be float32");
        STD_TORCH_CHECK(each->sizes().vec() == q.sizes().vec(), "swa: q, k and v must have one shape");
        STD_TORCH_CHECK(each->get_device_index() == q.get_device_index(), "swa: q, k and v must be on one device");
    }
    STD_TORCH_CHECK(q.size(3) >= 1 && q.size(3) <= 128, "swa: dim must be 1 ... 128, it is ", q.size(3));
    STD_TORCH_CHECK(q.size(2) < (int64_t{1} << 30), "swa: too many positions: ", q.size(2));
    // A block does 8 rows, and a grid has no more than 2^31 - 1 blocks.
    STD_TORCH_CHECK(q.size(0) * q.size(1) * ((q.size(2) + 7) / 8) < (int64_t{1} << 31), "swa: too many rows");
    STD_TORCH_CHECK(window > 0, "swa: window must be positive, it is ", window);
    STD_TORCH_CHECK(cap > 0, "swa: cap must be positive, it is ", cap);
}

static Attention attention(const Tensor &q, const Tensor &k, const Tensor &v, int64_t window, double cap) {
    const int64_t n = q.size(2), seen = std::min(window, std::max<int64_t>(n, 1));
    return {q.const_data_ptr<float>(), k.const_data_ptr<float>(),   v.const_data_ptr<float>(), q.size(0) * q.size(1),
            static_cast<int>(n),       static_cast<int>(q.size(3)), static_cast<int>(seen),    static_cast<float>(cap)};
}

// The stream that the caller made current (`with torch.cuda.stream(s)`), never the default one.
static cudaStream_t current_stream(int32_t device) {
    void *stream = nullptr;
    TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(device, &stream));
    return static_cast<cudaStream_t>(stream);
}

static std::tuple<Tensor, Tensor> forward(const Tensor &query, const Tensor &key, const Tensor &value, int64_t window,
                                          double cap) {
    check(query, key, value, window, cap);
    // The tensors may live on cuda:1 while cuda:0 is current: allocate and launch where they are.
    const int32_t device = query.get_device_index();
    const torch::stable::accelerator::DeviceGuard guard(device);
    const Tensor q = torch::stable::contiguous(query), k = torch::stable::contiguous(key),
                 v = torch::stable::contiguous(value);
    Tensor out = torch::stable::new_empty(q, q.sizes());
    Tensor lse = torch::stable::new_empty(q, {q.size(0), q.size(1), q.size(2)});

    const Attention all = attention(q, k, v, window, cap);
    const cudaError_t error =
        swa_forward_launch(&all, out.mutable_data_ptr<float>(), lse.mutable_data_ptr<float>(), current_stream(device));
    STD_TORCH_CHECK(error == cudaSuccess, "swa.forward: launch failed: ", cudaGetErrorString(error));
    return {out, lse};
}

static std::tuple<Tensor, Tensor, Tensor> backward(const Tensor &gradient, const Tensor &query, const Tensor &key,
                                                   const Tensor &value, const Tensor &output, const Tensor &sums,
                                                   int64_t window, double cap) {
    check(query, key, value, window, cap);
    check(query, gradient, output, window, cap);
    STD_TORCH_CHECK(sums.scalar_type() == ScalarType::Float, "swa: lse must be float32");
    STD_TORCH_CHECK(sums.numel() * query.size(3) == query.numel(), "swa: lse must have one number a query");
    const int32_t device = query.get_device_index();
    const torch::stable::accelerator::DeviceGuard guard(device);
    const Tensor q = torch::stable::contiguous(query), k = torch::stable::contiguous(key),
                 v = torch::stable::contiguous(value), out = torch::stable::contiguous(output),
                 lse = torch::stable::contiguous(sums);
    const Tensor grad = torch::stable::contiguous(gradient);  // autograd hands over any strides
    Tensor mean = torch::stable::new_empty(lse, lse.sizes());
    Tensor dq = torch::stable::new_empty(q, q.sizes()), dk = torch::stable::new_empty(q, q.sizes()),
           dv = torch::stable::new_empty(q, q.sizes());

    const Attention all = attention(q, k, v, window, cap);
    const cudaError_t error =
        swa_backward_launch(&all, grad.const_data_ptr<float>(), out.const_data_ptr<float>(),
                            lse.const_data_ptr<float>(), mean.mutable_data_ptr<float>(), dq.mutable_data_ptr<float>(),
                            dk.mutable_data_ptr<float>(), dv.mutable_data_ptr<float>(), current_stream(device));
    STD_TORCH_CHECK(error == cudaSuccess, "swa.backward: launch failed: ", cudaGetErrorString(error));
    return {dq, dk, dv};
}

STABLE_TORCH_LIBRARY(swa_cuda, m) {
    m.def("forward(Tensor q, Tensor k, Tensor v, SymInt window, float cap) -> (Tensor, Tensor)");
    m.def(
        "backward(Tensor grad, Tensor q, Tensor k, Tensor v, Tensor out, Tensor lse, SymInt window, float cap)"
        " -> (Tensor, Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(swa_cuda, CUDA, m) {
    m.impl("forward", TORCH_BOX(&forward));
    m.impl("backward", TORCH_BOX(&backward));
}
