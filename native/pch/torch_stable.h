/* Precompiled for operators on PyTorch's stable ABI. The function below is never called: it instantiates the boxing
 * of the usual argument types once. */
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <cmath>
#include <cstdint>
#include <optional>
#include <tuple>
#include <vector>

namespace mltutor_pch {

using torch::stable::Tensor;

inline Tensor one(const Tensor &a) {
    return a;
}
inline Tensor two(const Tensor &a, const Tensor &b) {
    (void)b;
    return a;
}
inline Tensor with_int(const Tensor &a, int64_t n) {
    (void)n;
    return a;
}
inline Tensor with_double(const Tensor &a, const Tensor &b, double x) {
    (void)b;
    (void)x;
    return a;
}
inline std::tuple<Tensor, Tensor> pair(const Tensor &a) {
    return {a, a};
}

inline void instantiate(torch::stable::detail::StableLibrary &m) {
    m.def("one(Tensor a) -> Tensor");
    m.impl("one", TORCH_BOX(&one));
    m.impl("two", TORCH_BOX(&two));
    m.impl("with_int", TORCH_BOX(&with_int));
    m.impl("with_double", TORCH_BOX(&with_double));
    m.impl("pair", TORCH_BOX(&pair));
}

}  // namespace mltutor_pch
