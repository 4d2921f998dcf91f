// Two operators: swiglu::forward, silu(gate) * up in one pass, and swiglu::backward, both gradients in one pass.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <cmath>
#include <cstdint>
#include <tuple>

#include "fast_exp.h"

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// exponential(x) is e^x: for float one that the compiler can vectorise (fast_exp.h), for double the exact one.
template <typename T>
static void activate(const T* gate, const T* up, T* out, int64_t begin, int64_t end) {
    // @gap
    for (int64_t i = begin; i < end; ++i) {
        const T g = gate[i];
        out[i] = g / (1 + exponential(-g)) * up[i];
    }
    //| // TODO: out = silu(gate) * up, where silu(g) = g * sigmoid(g) = g / (1 + e^-g).
    //| for (int64_t i = begin; i < end; ++i) out[i] = 0;
    // @end
}

// The gradients of gate and up. A null pointer means: nobody needs this one.
template <typename T>
static void differentiate(
    const T* grad, const T* gate, const T* up, T* grad_gate, T* grad_up, int64_t begin, int64_t end) {
    // @gap
    if (grad_gate != nullptr && grad_up != nullptr) {
        for (int64_t i = begin; i < end; ++i) {
            const T g = gate[i], s = 1 / (1 + exponential(-g)), d = grad[i];
            grad_gate[i] = d * up[i] * s * (1 + g * (1 - s));
            grad_up[i] = d * g * s;
        }
    } else if (grad_gate != nullptr) {
        for (int64_t i = begin; i < end; ++i) {
            const T g = gate[i], s = 1 / (1 + exponential(-g));
            grad_gate[i] = grad[i] * up[i] * s * (1 + g * (1 - s));
        }
    } else if (grad_up != nullptr) {
        for (int64_t i = begin; i < end; ++i) {
            const T g = gate[i], s = 1 / (1 + exponential(-g));
            grad_up[i] = grad[i] * g * s;
        }
    }
    //| // TODO: fill what is not null.
    //| for (int64_t i = begin; i < end; ++i) {
    //|     if (grad_gate != nullptr) grad_gate[i] = 0;
    //|     if (grad_up != nullptr) grad_up[i] = 0;
    //| }
    // @end
}

static constexpr int64_t GRAIN = 8192;

template <typename T>
static void run_forward(const Tensor& gate, const Tensor& up, Tensor& out) {
    const T *g = gate.const_data_ptr<T>(), *u = up.const_data_ptr<T>();
    T* o = out.mutable_data_ptr<T>();
    torch::stable::parallel_for(
        0, out.numel(), GRAIN, [=](int64_t begin, int64_t end) { activate(g, u, o, begin, end); });
}

template <typename T>
static void run_backward(
    const Tensor& grad, const Tensor& gate, const Tensor& up, Tensor& grad_gate, Tensor& grad_up) {
    const T *d = grad.const_data_ptr<T>(), *g = gate.const_data_ptr<T>(), *u = up.const_data_ptr<T>();
    T* dg = grad_gate.numel() > 0 ? grad_gate.mutable_data_ptr<T>() : nullptr;
    T* du = grad_up.numel() > 0 ? grad_up.mutable_data_ptr<T>() : nullptr;
    torch::stable::parallel_for(0, grad.numel(), GRAIN, [=](int64_t begin, int64_t end) {
        differentiate(d, g, u, dg, du, begin, end);
    });
}

static void check(const Tensor& gate, const Tensor& up) {
    const ScalarType dtype = gate.scalar_type();
    STD_TORCH_CHECK(
        dtype == ScalarType::Float || dtype == ScalarType::Double,
        "swiglu: gate must be float32 or float64, it is ",
        torch::headeronly::toString(dtype));
    STD_TORCH_CHECK(up.scalar_type() == dtype, "swiglu: gate and up must have one dtype");
    STD_TORCH_CHECK(gate.sizes().vec() == up.sizes().vec(), "swiglu: gate and up must have one shape");
}

static Tensor forward(const Tensor& gate, const Tensor& up) {
    check(gate, up);
    // @gap
    const Tensor g = torch::stable::contiguous(gate), u = torch::stable::contiguous(up);
    Tensor out = torch::stable::new_empty(g, g.sizes());
    //| // TODO: this is right for dense arguments only.
    //| const Tensor g = gate, u = up;
    //| Tensor out = torch::stable::empty_like(g);
    // @end
    if (g.scalar_type() == ScalarType::Float) {
        run_forward<float>(g, u, out);
    } else {
        run_forward<double>(g, u, out);
    }
    return out;
}

// What isn't needed comes back with no elements.
static std::tuple<Tensor, Tensor> backward(
    const Tensor& grad, const Tensor& gate, const Tensor& up, bool needs_gate, bool needs_up) {
    check(gate, up);
    STD_TORCH_CHECK(grad.sizes().vec() == gate.sizes().vec(), "swiglu: the gradient must have the shape of the result");
    STD_TORCH_CHECK(grad.scalar_type() == gate.scalar_type(), "swiglu: the gradient must have the dtype of the result");
    // @gap
    // The gradient comes from whatever the result went through: a slice of a cat, transposed, expanded from a sum.
    const Tensor d = torch::stable::contiguous(grad);
    const Tensor g = torch::stable::contiguous(gate), u = torch::stable::contiguous(up);
    //| // TODO: this is right for dense tensors only, and gradients are often something else.
    //| const Tensor &d = grad, &g = gate, &u = up;
    // @end
    const auto nothing = std::initializer_list<int64_t>{0};
    Tensor grad_gate = needs_gate ? torch::stable::new_empty(g, g.sizes()) : torch::stable::new_empty(g, nothing);
    Tensor grad_up = needs_up ? torch::stable::new_empty(g, g.sizes()) : torch::stable::new_empty(g, nothing);
    if (g.scalar_type() == ScalarType::Float) {
        run_backward<float>(d, g, u, grad_gate, grad_up);
    } else {
        run_backward<double>(d, g, u, grad_gate, grad_up);
    }
    return {grad_gate, grad_up};
}

STABLE_TORCH_LIBRARY(swiglu, m) {
    m.def("forward(Tensor gate, Tensor up) -> Tensor");
    m.def("backward(Tensor grad, Tensor gate, Tensor up, bool needs_gate, bool needs_up) -> (Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(swiglu, CPU, m) {
    m.impl("forward", TORCH_BOX(&forward));
    m.impl("backward", TORCH_BOX(&backward));
}
