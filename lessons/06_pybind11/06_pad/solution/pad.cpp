// Ragged collate: tensors of many lengths in, one padded tensor with its mask out, and back to the places that count.
#include <torch/csrc/utils/pybind.h>  // at::Tensor as an argument and a result

#include <ATen/core/grad_mode.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

namespace py = pybind11;

// What can't be put into one tensor is a ValueError: no sequences, a sequence without a length, and sequences that
// differ in dtype, device or in any size but the first.
static void check(const std::vector<at::Tensor>& sequences) {
    // @gap
    if (sequences.empty()) throw py::value_error("no sequences to collate");
    const at::Tensor& first = sequences.front();
    for (const at::Tensor& one : sequences) {
        if (one.dim() == 0) throw py::value_error("a sequence has at least one dimension");
        if (one.scalar_type() != first.scalar_type()) throw py::value_error("the sequences differ in dtype");
        if (one.device() != first.device()) throw py::value_error("the sequences are on different devices");
        if (one.sizes().slice(1) != first.sizes().slice(1)) throw py::value_error("the sequences differ in shape");
    }
    //| if (sequences.empty()) throw py::value_error("no sequences to collate");  // TODO: the rest
    // @end
}

// Whether the bytes of this tensor, read one after the other, are its values, and nobody records what becomes of them.
static bool plain(const at::Tensor& tensor) {
    // @gap
    const bool recorded = tensor.requires_grad() && at::GradMode::is_enabled();
    const bool lazy = tensor.is_conj() || tensor.is_neg();  // conj() and imag of it set a bit, and compute nothing
    return !recorded && !lazy && tensor.is_cpu() && tensor.layout() == at::kStrided && tensor.is_contiguous();
    //| (void)tensor;
    //| return false;  // TODO: always right, but slow: each sequence goes through the dispatcher, several times
    // @end
}

// collate(sequences, value=0): (padded, mask). padded[i, t] is sequences[i][t], and value where there is none;
// mask[i, t], a bool, says which. Both are on the device of the sequences.
static std::pair<at::Tensor, at::Tensor> collate(const std::vector<at::Tensor>& sequences, const at::Scalar& value) {
    check(sequences);
    const at::Tensor& first = sequences.front();
    int64_t longest = 0;
    for (const at::Tensor& one : sequences) longest = std::max(longest, one.size(0));
    std::vector<int64_t> sizes = first.sizes().vec();
    sizes[0] = longest;
    sizes.insert(sizes.begin(), static_cast<int64_t>(sequences.size()));

    // new_full and new_zeros: the dtype and the device of the tensor that they are called on, if not said otherwise.
    at::Tensor padded = first.new_full(sizes, value);
    at::Tensor mask = first.new_zeros({sizes[0], longest}, at::TensorOptions().dtype(at::kBool));
    // @gap
    const bool flat = padded.is_cpu();
    char* const values = flat ? static_cast<char*>(padded.mutable_data_ptr()) : nullptr;
    bool* const marks = flat ? mask.mutable_data_ptr<bool>() : nullptr;
    const size_t stride = sizes[0] > 0 ? padded.nbytes() / sizes[0] : 0;  // bytes of one padded sequence
    for (int64_t i = 0; i < sizes[0]; ++i) {
        const at::Tensor& one = sequences[i];
        const int64_t length = one.size(0);
        if (plain(one)) {
            if (one.nbytes() > 0) std::memcpy(values + i * stride, one.const_data_ptr(), one.nbytes());
        } else {
            padded.select(0, i).narrow(0, 0, length).copy_(one);  // any strides, any device, and autograd records it
        }
        if (flat) {
            std::fill_n(marks + i * longest, length, true);
        } else {
            mask.select(0, i).narrow(0, 0, length).fill_(true);
        }
    }
    //| // TODO: for each sequence: padded.select(0, i).narrow(0, 0, length) is its place in padded, and copy_ fills it.
    //| // Where plain() says so, std::memcpy does. The mask likewise, with fill_ or std::fill_n.
    // @end
    return {padded, mask};
}

// places(mask): the flat indices at which the mask is true, in order. How many there are shows only at the end.
static at::Tensor places(const at::Tensor& mask) {
    if (mask.scalar_type() != at::kBool) throw py::type_error("the mask must be a bool tensor");
    if (!mask.is_cpu()) throw py::value_error("the mask must be on the CPU");
    const at::Tensor dense = mask.contiguous();
    // @gap
    auto found = std::make_unique<std::vector<int64_t>>();
    const bool* marks = dense.const_data_ptr<bool>();
    for (int64_t i = 0; i < dense.numel(); ++i) {
        if (marks[i]) found->push_back(i);
    }
    // The tensor borrows the vector's memory; the vector is deleted when the last view of it goes.
    std::vector<int64_t>* kept = found.release();
    return at::from_blob(
        kept->data(), {static_cast<int64_t>(kept->size())}, [kept](void*) { delete kept; }, at::kLong);
    //| // TODO: collect them in a vector, and let a tensor use its memory: at::from_blob(data, sizes, deleter, at::kLong).
    //| return mask.new_zeros({0}, at::TensorOptions().dtype(at::kLong));
    // @end
}

// A Python int or float; an int keeps its 64 bits, where a double has 53.
using Number = std::variant<int64_t, double>;

PYBIND11_MODULE(pad, m) {
    m.doc() = "Ragged collate for tensors.";
    m.def(
        "collate",
        [](const std::vector<at::Tensor>& sequences, Number value) {
            return collate(sequences, std::visit([](auto number) { return at::Scalar(number); }, value));
        },
        py::arg("sequences"), py::arg("value") = 0, "(padded, mask) of tensors of many lengths.");
    m.def("places", &places, py::arg("mask"), "Flat indices of what is true in a bool mask.");
}
