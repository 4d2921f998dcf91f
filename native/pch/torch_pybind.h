/* Precompiled for pybind11 modules that take and return tensors without torch/extension.h. */
#include <torch/csrc/utils/pybind.h>

namespace mltutor_pch {

inline void instantiate(pybind11::module_ &m) {
    namespace py = pybind11;
    m.def(
        "one", [](const at::Tensor &a) { return a; }, py::arg("a"));
    m.def("two", [](const at::Tensor &a, const at::Tensor &b) {
        (void)b;
        return a;
    });
    m.def("many", [](const std::vector<at::Tensor> &a, double x) {
        (void)x;
        return a;
    });
}

}  // namespace mltutor_pch
