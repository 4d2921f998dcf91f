// torch/library.h and ATen: accessors that know the strides, so that no copy is needed.
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <torch/library.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <tuple>

namespace {

template <typename scalar_t>
void quantize_cpu(const at::TensorAccessor<const scalar_t, 2> w, at::TensorAccessor<int8_t, 2> q,
                  at::TensorAccessor<float, 1> scale) {
    const int64_t cols = w.size(1);
    at::parallel_for(0, w.size(0), 8, [&](int64_t from, int64_t to) {
        for (int64_t r = from; r != to; r++) {
            const auto row = w[r];
            float biggest = 0.f;
            for (int64_t c = 0; c != cols; c++) biggest = std::fmax(biggest, std::fabs(float(row[c])));
            const float s = biggest == 0.f ? 1.f : biggest / 127.f;
            scale[r] = s;
            for (int64_t c = 0; c != cols; c++) {
                q[r][c] = static_cast<int8_t>(std::lrint(float(row[c]) / s));
            }
        }
    });
}

std::tuple<at::Tensor, at::Tensor> rows_to_int8(const at::Tensor &weight) {
    TORCH_CHECK(weight.dim() == 2, "expected a matrix, got ", weight.dim(), " dimensions");
    TORCH_CHECK(weight.scalar_type() == at::kFloat || weight.scalar_type() == at::kBFloat16,
                "expected float32 or bfloat16, got ", weight.scalar_type());
    at::Tensor q = weight.new_empty(weight.sizes(), weight.options().dtype(at::kChar));
    at::Tensor scale = weight.new_empty({weight.size(0)}, weight.options().dtype(at::kFloat));
    AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, weight.scalar_type(), "quantize_rows", [&] {
        quantize_cpu<scalar_t>(weight.accessor<const scalar_t, 2>(), q.accessor<int8_t, 2>(),
                               scale.accessor<float, 1>());
    });
    return std::make_tuple(q, scale);
}

}  // namespace

TORCH_LIBRARY(quant, m) {
    m.def("quantize_rows(Tensor weight) -> (Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(quant, CPU, m) {
    m.impl("quantize_rows", rows_to_int8);
}
