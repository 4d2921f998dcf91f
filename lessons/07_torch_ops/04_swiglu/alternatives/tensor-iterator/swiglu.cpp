// ATen's TensorIterator walks the strides: nothing is copied, whatever the layouts.
#include <ATen/Dispatch.h>
#include <ATen/TensorIterator.h>
#include <ATen/core/Tensor.h>
#include <ATen/native/cpu/Loops.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <cmath>
#include <tuple>

template <typename T>
static T sigmoid(T x) {
    return T(1) / (T(1) + std::exp(-x));
}

static at::Tensor dense_like(const at::Tensor &t) {
    return at::empty(t.sizes(), t.options());
}

static void check(const at::Tensor &gate, const at::Tensor &up) {
    TORCH_CHECK(gate.sizes() == up.sizes(), "gate is ", gate.sizes(), ", up is ", up.sizes());
    TORCH_CHECK(gate.dtype() == up.dtype(), "gate is ", gate.dtype(), ", up is ", up.dtype());
    TORCH_CHECK(gate.dtype() == at::kFloat || gate.dtype() == at::kDouble, "float32 or float64, not ", gate.dtype());
}

static at::Tensor forward(const at::Tensor &gate, const at::Tensor &up) {
    check(gate, up);
    at::Tensor out = dense_like(gate);
    auto iterator = at::TensorIteratorConfig().add_output(out).add_const_input(gate).add_const_input(up).build();
    AT_DISPATCH_FLOATING_TYPES(gate.scalar_type(), "swiglu_forward", [&] {
        at::native::cpu_kernel(iterator, [](scalar_t g, scalar_t u) -> scalar_t { return g * sigmoid(g) * u; });
    });
    return out;
}

static std::tuple<at::Tensor, at::Tensor> backward(const at::Tensor &grad, const at::Tensor &gate, const at::Tensor &up,
                                                   bool needs_gate, bool needs_up) {
    check(gate, up);
    check(grad, gate);
    at::Tensor grad_gate = at::empty({0}, gate.options()), grad_up = at::empty({0}, gate.options());
    if (needs_gate) {
        grad_gate = dense_like(gate);
        auto iterator = at::TensorIteratorConfig()
                            .add_output(grad_gate)
                            .add_const_input(grad)
                            .add_const_input(gate)
                            .add_const_input(up)
                            .build();
        AT_DISPATCH_FLOATING_TYPES(gate.scalar_type(), "swiglu_backward_gate", [&] {
            at::native::cpu_kernel(iterator, [](scalar_t d, scalar_t g, scalar_t u) -> scalar_t {
                const scalar_t s = sigmoid(g);
                return d * u * (s + g * s * (1 - s));
            });
        });
    }
    if (needs_up) {
        grad_up = dense_like(gate);
        auto iterator =
            at::TensorIteratorConfig().add_output(grad_up).add_const_input(grad).add_const_input(gate).build();
        AT_DISPATCH_FLOATING_TYPES(gate.scalar_type(), "swiglu_backward_up", [&] {
            at::native::cpu_kernel(iterator, [](scalar_t d, scalar_t g) -> scalar_t { return d * g * sigmoid(g); });
        });
    }
    return {grad_gate, grad_up};
}

TORCH_LIBRARY(swiglu, m) {
    m.def("forward(Tensor gate, Tensor up) -> Tensor", {at::Tag::pt2_compliant_tag});
    m.def("backward(Tensor grad, Tensor gate, Tensor up, bool needs_gate, bool needs_up) -> (Tensor, Tensor)");
    m.impl("forward", c10::DispatchKey::CPU, TORCH_FN(forward));
    m.impl("backward", c10::DispatchKey::CPU, TORCH_FN(backward));
}
