// quantize_rows: int8 weights with one scale for each output channel (row), as a PyTorch operator.
//
// Only headers of the stable ABI: the library works with every PyTorch from the one it was built for on, and it builds
// in a second or two.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <tuple>

using torch::headeronly::BFloat16;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// The largest |x| of a row. A float maximum in a loop is one chain of comparisons that no compiler reorders (NaN and -0
// forbid it). The bits of floats without their sign, read as integers, have the same order, and those it vectorises.
template <typename T>
static float largest(const T* x, int64_t n) {
    // @gap
    uint32_t top = 0;
    for (int64_t i = 0; i < n; ++i) {
        const float value = static_cast<float>(x[i]);
        uint32_t bits;
        std::memcpy(&bits, &value, sizeof bits);
        top = std::max(top, bits & 0x7fffffffu);
    }
    float result;
    std::memcpy(&result, &top, sizeof result);
    return result;
    //| // TODO: the largest absolute value.
    //| return 0.0f;
    // @end
}

// Quantise one row and return its scale. A row of zeros gets scale 1.
template <typename T>
static float quantize_row(const T* x, int8_t* q, int64_t n) {
    const float top = largest(x, n);
    const float scale = top > 0.0f ? top / 127.0f : 1.0f;
    // @gap
    for (int64_t i = 0; i < n; ++i) {
        // nearbyint follows the rounding mode of the CPU: half to even, as torch.round does.
        q[i] = static_cast<int8_t>(std::nearbyint(static_cast<float>(x[i]) / scale));
    }
    //| // TODO: q[i] = x[i] / scale, rounded half to even.
    //| for (int64_t i = 0; i < n; ++i) q[i] = 0;
    // @end
    return scale;
}

template <typename T>
static void quantize(const Tensor& x, Tensor& q, Tensor& scale) {
    const int64_t rows = x.size(0), cols = x.size(1);
    // Pointers first: the threads below must not call into PyTorch.
    // @gap
    const T* from = x.const_data_ptr<T>();
    int8_t* to = q.mutable_data_ptr<int8_t>();
    float* scales = scale.mutable_data_ptr<float>();
    torch::stable::parallel_for(0, rows, 1 + 32768 / (cols + 1), [=](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) scales[r] = quantize_row(from + r * cols, to + r * cols, cols);
    });
    //| // TODO: quantize_row for every row; torch::stable::parallel_for shares them out among threads.
    //| int8_t* to = q.mutable_data_ptr<int8_t>();
    //| float* scales = scale.mutable_data_ptr<float>();
    //| for (int64_t i = 0; i < rows * cols; ++i) to[i] = 0;
    //| for (int64_t r = 0; r < rows; ++r) scales[r] = 1.0f;
    // @end
}

static std::tuple<Tensor, Tensor> quantize_rows(const Tensor& weight) {
    // @gap
    STD_TORCH_CHECK(weight.dim() == 2, "quantize_rows: weight must have 2 dimensions, it has ", weight.dim());
    const ScalarType dtype = weight.scalar_type();
    STD_TORCH_CHECK(
        dtype == ScalarType::Float || dtype == ScalarType::BFloat16,
        "quantize_rows: weight must be float32 or bfloat16, it is ",
        torch::headeronly::toString(dtype));
    // A view (transposed, sliced) becomes dense; a dense tensor comes back as it is, without a copy.
    const Tensor x = torch::stable::contiguous(weight);
    Tensor q = torch::stable::new_empty(x, x.sizes(), ScalarType::Char);
    Tensor scale = torch::stable::new_empty(x, {x.size(0)}, ScalarType::Float);
    if (dtype == ScalarType::Float) {
        quantize<float>(x, q, scale);
    } else {
        quantize<BFloat16>(x, q, scale);
    }
    return {q, scale};
    //| // TODO: refuse what is not 2-D and what is neither float32 nor bfloat16 (STD_TORCH_CHECK), and handle views.
    //| Tensor q = torch::stable::new_empty(weight, weight.sizes(), ScalarType::Char);
    //| Tensor scale = torch::stable::new_empty(weight, {weight.size(0)}, ScalarType::Float);
    //| quantize<float>(weight, q, scale);
    //| return {q, scale};
    // @end
}

// The schema is a contract: it names no mutated and no aliased argument, so there must be none.
STABLE_TORCH_LIBRARY(quant, m) {
    m.def("quantize_rows(Tensor weight) -> (Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(quant, CPU, m) {
    m.impl("quantize_rows", TORCH_BOX(&quantize_rows));
}
