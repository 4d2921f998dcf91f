// Every row is gathered into a buffer of floats first, whatever its dtype and strides, by one thread.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <cmath>
#include <tuple>
#include <utility>
#include <vector>

namespace ts = torch::stable;
namespace th = torch::headeronly;

class Gather {
  public:
    explicit Gather(const ts::Tensor &t)
        : half_(t.scalar_type() == th::ScalarType::BFloat16),
          data_(t.const_data_ptr()),
          down_(t.stride(0)),
          along_(t.stride(1)) {}

    void row(int64_t r, std::vector<float> &into) const {
        for (size_t c = 0; c < into.size(); ++c) {
            const int64_t at = r * down_ + static_cast<int64_t>(c) * along_;
            if (half_) {
                into[c] = static_cast<const th::BFloat16 *>(data_)[at];
            } else {
                into[c] = static_cast<const float *>(data_)[at];
            }
        }
    }

  private:
    bool half_;
    const void *data_;
    int64_t down_, along_;
};

std::tuple<ts::Tensor, ts::Tensor> quantize_rows(ts::Tensor weight) {
    STD_TORCH_CHECK(weight.dim() == 2, "weight is not a matrix");
    switch (weight.scalar_type()) {
        case th::ScalarType::Float:
        case th::ScalarType::BFloat16:
            break;
        default:
            STD_TORCH_CHECK(false, "weight is neither float32 nor bfloat16");
    }
    const auto rows = weight.size(0), cols = weight.size(1);
    auto quantised = ts::new_empty(weight, {rows, cols}, std::make_optional(th::ScalarType::Char));
    auto scales = ts::new_empty(weight, {rows}, std::make_optional(th::ScalarType::Float));
    auto *q = static_cast<int8_t *>(quantised.mutable_data_ptr());
    auto *s = static_cast<float *>(scales.mutable_data_ptr());
    if (weight.numel() == 0) {
        for (int64_t r = 0; r < rows; ++r) s[r] = 1;
        return {std::move(quantised), std::move(scales)};
    }
    const Gather gather(weight);
    std::vector<float> row(static_cast<size_t>(cols));
    for (int64_t r = 0; r < rows; ++r) {
        gather.row(r, row);
        float low = 0, high = 0;
        for (const float x : row) {
            if (x < low) low = x;
            if (x > high) high = x;
        }
        if (-low > high) high = -low;
        *s = high / 127;
        if (high == 0) *s = 1;
        for (const float x : row) *q++ = static_cast<int8_t>(std::rint(x / *s));
        ++s;
    }
    return {std::move(quantised), std::move(scales)};
}

STABLE_TORCH_LIBRARY_FRAGMENT(quant, library) {
    library.def("quantize_rows(Tensor weight) -> (Tensor q, Tensor scale)");
}

STABLE_TORCH_LIBRARY_IMPL(quant, CPU, library) {
    library.impl("quantize_rows", TORCH_BOX(&quantize_rows));
}
