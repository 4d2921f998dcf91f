// Registers quantize_rows for CUDA tensors, through the stable ABI. Given: read it, the kernel relies on it.
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <tuple>

#include "quant.h"

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

static std::tuple<Tensor, Tensor> quantize_rows(const Tensor& weight) {
    STD_TORCH_CHECK(weight.dim() == 2, "quantize_rows: weight must have 2 dimensions, it has ", weight.dim());
    STD_TORCH_CHECK(weight.scalar_type() == ScalarType::Float, "quantize_rows: weight must be float32");
    STD_TORCH_CHECK(weight.size(0) < (int64_t{1} << 31), "quantize_rows: a grid has no more than 2^31 - 1 blocks");
    // The weight may live on cuda:1 while cuda:0 is current: allocate and launch where the weight is.
    const int32_t device = weight.get_device_index();
    const torch::stable::accelerator::DeviceGuard guard(device);

    const Tensor x = torch::stable::contiguous(weight);
    Tensor q = torch::stable::new_empty(x, x.sizes(), ScalarType::Char);
    Tensor scale = torch::stable::new_empty(x, {x.size(0)}, ScalarType::Float);

    // The stream that the caller made current (`with torch.cuda.stream(s)`), never the default one.
    void* stream = nullptr;
    TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(device, &stream));
    const cudaError_t error = quantize_rows_launch(
        x.const_data_ptr<float>(),
        q.mutable_data_ptr<int8_t>(),
        scale.mutable_data_ptr<float>(),
        x.size(0),
        x.size(1),
        static_cast<cudaStream_t>(stream));
    STD_TORCH_CHECK(error == cudaSuccess, "quantize_rows: launch failed: ", cudaGetErrorString(error));
    return {q, scale};
}

STABLE_TORCH_LIBRARY(quant_cuda, m) {
    m.def("quantize_rows(Tensor weight) -> (Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(quant_cuda, CUDA, m) {
    m.impl("quantize_rows", TORCH_BOX(&quantize_rows));
}
