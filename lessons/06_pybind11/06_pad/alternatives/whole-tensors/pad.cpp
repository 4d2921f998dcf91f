// No loop over bytes: every sequence is padded by an operator, the mask is a comparison, places are counted first.
#include <ATen/ATen.h>
#include <torch/csrc/utils/pybind.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

void refuse_unlike(const std::vector<at::Tensor> &sequences) {
    if (sequences.empty()) throw std::invalid_argument("nothing to pad");
    const auto &model = sequences[0];
    for (size_t i = 0; i < sequences.size(); ++i) {
        const auto &other = sequences[i];
        const std::string name = "sequence " + std::to_string(i);
        if (other.dim() < 1) throw std::invalid_argument(name + " has no length");
        if (other.dtype() != model.dtype()) throw std::invalid_argument(name + " is of another dtype");
        if (other.device() != model.device()) throw std::invalid_argument(name + " is on another device");
        if (other.dim() != model.dim()) throw std::invalid_argument(name + " has other dimensions");
        for (int64_t axis = 1; axis < model.dim(); ++axis) {
            if (other.size(axis) != model.size(axis)) throw std::invalid_argument(name + " has items of another shape");
        }
    }
}

at::Scalar scalar_of(const py::object &value) {
    if (PyLong_Check(value.ptr())) return py::cast<int64_t>(value);
    return py::cast<double>(value);
}

py::tuple collate(const std::vector<at::Tensor> &sequences, const py::object &value) {
    refuse_unlike(sequences);
    const at::Scalar filler = scalar_of(value);
    std::vector<int64_t> lengths;
    for (const auto &one : sequences) lengths.push_back(one.size(0));
    const int64_t longest = *std::max_element(lengths.begin(), lengths.end());

    std::vector<at::Tensor> rows;
    for (const auto &one : sequences) {
        auto missing = one.sizes().vec();
        missing[0] = longest - one.size(0);
        rows.push_back(at::cat({one, at::full(missing, filler, one.options().requires_grad(false))}));
    }
    const auto padded = at::stack(rows);

    const auto device = padded.device();
    const auto ends = at::tensor(lengths, at::kLong).to(device).unsqueeze(1);
    const auto mask = at::arange(longest, at::dtype(at::kLong).device(device)).unsqueeze(0) < ends;
    return py::make_tuple(padded, mask);
}

at::Tensor places(at::Tensor mask) {
    if (mask.scalar_type() != at::kBool) throw py::type_error("places() takes a bool mask");
    if (!mask.is_cpu()) throw std::invalid_argument("places() takes a mask on the CPU");
    mask = mask.contiguous();
    const bool *const begin = mask.data_ptr<bool>();
    const bool *const end = begin + mask.numel();
    auto result = at::empty({std::count(begin, end, true)}, at::kLong);
    int64_t *next = result.data_ptr<int64_t>();
    for (const bool *at = begin; at != end; ++at) {
        if (*at) *next++ = at - begin;
    }
    return result;
}

}  // namespace

PYBIND11_MODULE(pad, m) {
    m.def("collate", &collate, py::arg("sequences"), py::arg("value") = py::int_(0));
    m.def("places", &places, py::arg("mask"));
}
