// Registers forward and backward for CUDA tensors, through the stable ABI. Given: read it, the kernels rely on it.
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <tuple>

#include "swiglu.h"

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

static void check(const Tensor &gate, const Tensor &other, const char *name) {
    const ScalarType dtype = gate.scalar_type();
    STD_TORCH_CHECK(dtype == ScalarType::Float || dtype == ScalarType::BFloat16,
                    "swiglu: gate must be float32 or bfloat16, it is ", torch::headeronly::toString(dtype));
    STD_TORCH_CHECK(other.scalar_type() == dtype, "swiglu: gate and ", name, " must have one dtype");
    STD_TORCH_CHECK(other.sizes().vec() == gate.sizes().vec(), "swiglu: gate and ", name, " must have one shape");
    STD_TORCH_CHECK(other.get_device_index() == gate.get_device_index(), "swiglu: gate and ", name,
                    " must be on one device");
}

// The stream that the caller made current, never the default one.
static cudaStream_t current_stream(int32_t device) {
    void *stream = nullptr;
    TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(device, &stream));
    return static_cast<cudaStream_t>(stream);
}

static void launched(cudaError_t error) {
    STD_TORCH_CHECK(error == cudaSuccess, "swiglu: launch failed: ", cudaGetErrorString(error));
}

static Tensor forward(const Tensor &gate, const Tensor &up) {
    check(gate, up, "up");
    // gate may live on cuda:1 while cuda:0 is current: allocate and launch where gate is.
    const int32_t device = gate.get_device_index();
    const torch::stable::accelerator::DeviceGuard guard(device);
    const Tensor g = torch::stable::contiguous(gate), u = torch::stable::contiguous(up);
    Tensor out = torch::stable::new_empty(g, g.sizes());
    const auto launch = g.scalar_type() == ScalarType::Float ? swiglu_forward_float32 : swiglu_forward_bfloat16;
    launched(launch(g.const_data_ptr(), u.const_data_ptr(), out.mutable_data_ptr(), g.numel(), current_stream(device)));
    return out;
}

// What isn't needed comes back with no elements.
static std::tuple<Tensor, Tensor> backward(const Tensor &grad, const Tensor &gate, const Tensor &up, bool needs_gate,
                                           bool needs_up) {
    check(gate, up, "up");
    check(gate, grad, "the gradient");
    const int32_t device = gate.get_device_index();
    const torch::stable::accelerator::DeviceGuard guard(device);
    // The gradient comes from whatever the result went through: a slice of a cat, transposed, expanded from a sum.
    const Tensor d = torch::stable::contiguous(grad);
    const Tensor g = torch::stable::contiguous(gate), u = torch::stable::contiguous(up);
    const auto nothing = std::initializer_list<int64_t>{0};
    Tensor grad_gate = needs_gate ? torch::stable::new_empty(g, g.sizes()) : torch::stable::new_empty(g, nothing);
    Tensor grad_up = needs_up ? torch::stable::new_empty(g, g.sizes()) : torch::stable::new_empty(g, nothing);
    const auto launch = g.scalar_type() == ScalarType::Float ? swiglu_backward_float32 : swiglu_backward_bfloat16;
    launched(launch(d.const_data_ptr(), g.const_data_ptr(), u.const_data_ptr(),
                    needs_gate ? grad_gate.mutable_data_ptr() : nullptr,
                    needs_up ? grad_up.mutable_data_ptr() : nullptr, g.numel(), current_stream(device)));
    return {grad_gate, grad_up};
}

STABLE_TORCH_LIBRARY(swiglu_cuda, m) {
    m.def("forward(Tensor gate, Tensor up) -> Tensor");
    m.def("backward(Tensor grad, Tensor gate, Tensor up, bool needs_gate, bool needs_up) -> (Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(swiglu_cuda, CUDA, m) {
    m.impl("forward", TORCH_BOX(&forward));
    m.impl("backward", TORCH_BOX(&backward));
}
