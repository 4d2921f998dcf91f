// One template maps a function over elements; the exponential is that of the standard library.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <tuple>

namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

template <typename T>
struct Silu {
    T value, slope;
    explicit Silu(T x) {
        const T s = x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x));
        // e^x is inf / inf nowhere: the exponent is never positive. NaN takes the second branch and stays.
        value = x * s;
        slope = s + value * (1 - s);
    }
};

template <typename Each>
void for_each_element(int64_t count, const Each &each) {
    torch::stable::parallel_for(0, count, 4096, [&each](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; ++i) each(i);
    });
}

void demand_pair(const Tensor &a, const Tensor &b, const char *what) {
    STD_TORCH_CHECK(a.scalar_type() == b.scalar_type(), what, ": different dtypes");
    const auto x = a.sizes(), y = b.sizes();
    STD_TORCH_CHECK(x.size() == y.size() && std::equal(x.begin(), x.end(), y.begin()), what, ": different shapes");
}

template <typename Body>
void by_dtype(const Tensor &t, const Body &body) {
    switch (t.scalar_type()) {
        case ScalarType::Float:
            return body(float{});
        case ScalarType::Double:
            return body(double{});
        default:
            STD_TORCH_CHECK(false, "swiglu: only float32 and float64");
    }
}

Tensor swiglu_forward(const Tensor &gate, const Tensor &up) {
    demand_pair(gate, up, "gate and up");
    const Tensor g = torch::stable::contiguous(gate);
    const Tensor u = torch::stable::contiguous(up);
    Tensor result = torch::stable::new_empty(gate, gate.sizes());
    by_dtype(gate, [&](auto zero) {
        using T = decltype(zero);
        const T *gs = g.const_data_ptr<T>();
        const T *us = u.const_data_ptr<T>();
        T *rs = result.mutable_data_ptr<T>();
        for_each_element(result.numel(), [=](int64_t i) { rs[i] = Silu<T>(gs[i]).value * us[i]; });
    });
    return result;
}

std::tuple<Tensor, Tensor> swiglu_backward(const Tensor &grad, const Tensor &gate, const Tensor &up, bool needs_gate,
                                           bool needs_up) {
    demand_pair(gate, up, "gate and up");
    demand_pair(grad, gate, "gradient and gate");
    const Tensor d = torch::stable::contiguous(grad), g = torch::stable::contiguous(gate);
    Tensor to_gate = torch::stable::new_empty(gate, {0}), to_up = torch::stable::new_empty(gate, {0});
    by_dtype(gate, [&](auto zero) {
        using T = decltype(zero);
        const T *ds = d.const_data_ptr<T>(), *gs = g.const_data_ptr<T>();
        if (needs_gate) {
            const Tensor u = torch::stable::contiguous(up);
            const T *us = u.const_data_ptr<T>();
            to_gate = torch::stable::new_empty(gate, gate.sizes());
            T *out = to_gate.mutable_data_ptr<T>();
            for_each_element(g.numel(), [=](int64_t i) { out[i] = ds[i] * us[i] * Silu<T>(gs[i]).slope; });
        }
        if (needs_up) {
            to_up = torch::stable::new_empty(gate, gate.sizes());
            T *out = to_up.mutable_data_ptr<T>();
            for_each_element(g.numel(), [=](int64_t i) { out[i] = ds[i] * Silu<T>(gs[i]).value; });
        }
    });
    return std::make_tuple(to_gate, to_up);
}

}  // namespace

STABLE_TORCH_LIBRARY(swiglu, m) {
    m.def("forward(Tensor gate, Tensor up) -> Tensor");
    m.def("backward(Tensor grad, Tensor gate, Tensor up, bool needs_gate, bool needs_up) -> (Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(swiglu, CPU, m) {
    m.impl("backward", TORCH_BOX(&swiglu_backward));
    m.impl("forward", TORCH_BOX(&swiglu_forward));
}
