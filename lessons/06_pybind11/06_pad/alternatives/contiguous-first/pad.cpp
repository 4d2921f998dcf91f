// One question for the whole batch: is a graph recorded, or the memory not ours? Else all become plain bytes first.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/utils/pybind.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <tuple>
#include <vector>

namespace py = pybind11;

struct Batch {
    at::Tensor padded, mask;
    std::vector<int64_t> lengths;
};

static Batch empty_batch(const std::vector<at::Tensor> &sequences) {
    TORCH_CHECK_VALUE(!sequences.empty(), "collate() of no sequences");
    Batch batch;
    int64_t longest = 0;
    for (const at::Tensor &sequence : sequences) {
        TORCH_CHECK_VALUE(sequence.dim() > 0, "a sequence without dimensions");
        TORCH_CHECK_VALUE(sequence.dtype() == sequences[0].dtype(), "dtypes differ: ", sequence.dtype());
        TORCH_CHECK_VALUE(sequence.device() == sequences[0].device(), "devices differ: ", sequence.device());
        TORCH_CHECK_VALUE(sequence.sizes().slice(1).equals(sequences[0].sizes().slice(1)), "shapes differ");
        batch.lengths.push_back(sequence.size(0));
        longest = std::max(longest, sequence.size(0));
    }
    std::vector<int64_t> shape = {static_cast<int64_t>(sequences.size()), longest};
    batch.mask = at::empty(shape, sequences[0].options().dtype(at::kBool).requires_grad(false));
    for (int64_t size : sequences[0].sizes().slice(1)) shape.push_back(size);
    batch.padded = at::empty(shape, sequences[0].options().requires_grad(false));
    return batch;
}

static void fill_by_operators(const std::vector<at::Tensor> &sequences, const at::Scalar &value, Batch &batch) {
    batch.padded.fill_(value);
    batch.mask.zero_();
    for (size_t i = 0; i < sequences.size(); ++i) {
        const auto row = static_cast<int64_t>(i);
        batch.padded[row].slice(0, 0, batch.lengths[i]).copy_(sequences[i]);
        batch.mask[row].slice(0, 0, batch.lengths[i]).fill_(true);
    }
}

static void fill_by_bytes(const std::vector<at::Tensor> &sequences, const at::Scalar &value, Batch &batch) {
    const at::Tensor item = at::full({1}, value, batch.padded.options());
    const size_t width = item.element_size();
    char *to = static_cast<char *>(batch.padded.data_ptr());
    bool *mark = batch.mask.data_ptr<bool>();
    const auto per_sequence = static_cast<size_t>(batch.padded[0].numel());
    for (size_t i = 0; i < sequences.size(); ++i) {
        const at::Tensor plain = sequences[i].resolve_conj().resolve_neg().contiguous();
        const auto numbers = static_cast<size_t>(plain.numel());
        if (numbers != 0) memcpy(to, plain.data_ptr(), numbers * width);
        for (size_t k = numbers; k < per_sequence; ++k) memcpy(to + k * width, item.data_ptr(), width);
        to += per_sequence * width;
        for (int64_t t = 0; t < batch.mask.size(1); ++t) *mark++ = t < batch.lengths[i];
    }
}

static std::tuple<at::Tensor, at::Tensor> collate(const std::vector<at::Tensor> &sequences, const at::Scalar &value) {
    Batch batch = empty_batch(sequences);
    bool bytes_will_do = batch.padded.is_cpu();
    for (const at::Tensor &sequence : sequences) {
        const bool recorded = at::GradMode::is_enabled() && sequence.requires_grad();
        bytes_will_do = bytes_will_do && !recorded && sequence.layout() == at::kStrided;
    }
    if (bytes_will_do) {
        fill_by_bytes(sequences, value, batch);
    } else {
        fill_by_operators(sequences, value, batch);
    }
    return {batch.padded, batch.mask};
}

static at::Tensor places(const at::Tensor &mask) {
    TORCH_CHECK_TYPE(mask.scalar_type() == at::kBool, "want a mask of bool, got ", mask.scalar_type());
    TORCH_CHECK_VALUE(mask.device().is_cpu(), "want a mask on the CPU, got ", mask.device());
    const auto numbers = std::make_shared<std::vector<int64_t>>();
    const at::Tensor flat = mask.reshape(-1);
    const auto marks = flat.accessor<bool, 1>();
    for (int64_t i = 0; i < marks.size(0); ++i) {
        if (marks[i]) numbers->push_back(i);
    }
    const auto count = static_cast<int64_t>(numbers->size());
    // The deleter's own copy of the pointer keeps the vector; when the deleter goes, so does the vector.
    return at::from_blob(
        numbers->data(), {count}, [numbers](void *) {}, at::TensorOptions().dtype(at::kLong));
}

PYBIND11_MODULE(pad, m) {
    m.def(
        "collate",
        [](const std::vector<at::Tensor> &sequences, const py::object &value) {
            if (py::isinstance<py::int_>(value)) return collate(sequences, at::Scalar(value.cast<int64_t>()));
            return collate(sequences, at::Scalar(value.cast<double>()));
        },
        py::arg("sequences"), py::arg("value") = 0);
    m.def("places", &places, py::arg("mask"));
}
