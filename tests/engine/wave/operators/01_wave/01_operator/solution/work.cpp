#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <vector>

using torch::stable::Tensor;

static Tensor work(const Tensor &x) {
    const auto n = static_cast<size_t>(x.size(0));
    const Tensor result = torch::stable::new_empty(x, x.sizes());
    std::vector<float> row(n);
    for (size_t i = 0; i < n; ++i) row.data()[i] = x.const_data_ptr<float>()[i];
    for (size_t i = 0; i < n; ++i) result.mutable_data_ptr<float>()[i] = row[i];
    return result;
}

STABLE_TORCH_LIBRARY(wave, m) {
    m.def("work(Tensor x) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(wave, CPU, m) {
    m.impl("work", TORCH_BOX(&work));
}
