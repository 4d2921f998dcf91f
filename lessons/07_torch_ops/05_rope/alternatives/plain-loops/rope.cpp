// Heads in a plain nest of loops, by one thread; shared memory is found with a list of (stride, size), the widest first.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

static bool elements_share_memory(const Tensor &x) {
    std::vector<std::pair<int64_t, int64_t>> axes;
    int64_t reach = 0;  // how far the axes that are left can go, all together
    for (int64_t axis = 0; axis < x.dim(); ++axis) {
        if (x.size(axis) == 0) return false;
        if (x.size(axis) == 1) continue;
        axes.emplace_back(x.stride(axis), x.size(axis));
        reach += x.stride(axis) * (x.size(axis) - 1);
    }
    std::sort(axes.begin(), axes.end(), std::greater<>());
    for (const auto &[stride, size] : axes) {
        reach -= stride * (size - 1);
        if (stride <= reach || stride == 0) return true;
    }
    return false;
}

template <class Real>
static void rotate_all(Tensor x, const Tensor &cos, const Tensor &sin, bool inverse) {
    const int64_t half = x.size(3) / 2;
    Real *const origin = x.mutable_data_ptr<Real>();
    const Real *const cosines = cos.const_data_ptr<Real>();
    const Real *const sines = sin.const_data_ptr<Real>();
    for (int64_t b = 0; b < x.size(0); ++b) {
        for (int64_t n = 0; n < x.size(1); ++n) {
            for (int64_t d = 0; d < half; ++d) {
                const Real c = cosines[n * cos.stride(0) + d * cos.stride(1)];
                const Real s = sines[n * sin.stride(0) + d * sin.stride(1)] * (inverse ? -1 : 1);
                Real *u = origin + b * x.stride(0) + n * x.stride(1) + d * x.stride(3);
                Real *v = u + half * x.stride(3);
                for (int64_t h = 0; h < x.size(2); ++h, u += x.stride(2), v += x.stride(2)) {
                    const Real turned = c * *u - s * *v;
                    *v = s * *u + c * *v;
                    *u = turned;
                }
            }
        }
    }
}

static void rope_in_place(Tensor x, Tensor cos, Tensor sin, bool inverse) {
    const auto kind = x.scalar_type();
    STD_TORCH_CHECK(kind == ScalarType::Float || kind == ScalarType::Double, "x: float32 or float64");
    STD_TORCH_CHECK(cos.scalar_type() == kind && sin.scalar_type() == kind, "cos, sin: the dtype of x");
    STD_TORCH_CHECK(x.dim() == 4 && x.size(3) % 2 == 0, "x: (batch, positions, heads, dim) with an even dim");
    STD_TORCH_CHECK(cos.dim() == 2 && sin.dim() == 2, "cos, sin: (positions, dim / 2)");
    for (int64_t axis = 0; axis < 2; ++axis) {
        const int64_t want = axis == 0 ? x.size(1) : x.size(3) / 2;
        STD_TORCH_CHECK(cos.size(axis) == want && sin.size(axis) == want, "cos, sin: (positions, dim / 2)");
    }
    STD_TORCH_CHECK(!elements_share_memory(x), "x: elements lie upon each other");
    if (kind == ScalarType::Float) return rotate_all<float>(x, cos, sin, inverse);
    rotate_all<double>(x, cos, sin, inverse);
}

STABLE_TORCH_LIBRARY_IMPL(rope, CPU, m) {
    m.impl("rotate_", TORCH_BOX(&rope_in_place));
}

STABLE_TORCH_LIBRARY(rope, m) {
    m.def("rotate_(Tensor(a!) x, Tensor cos, Tensor sin, bool inverse=False) -> ()");
}
