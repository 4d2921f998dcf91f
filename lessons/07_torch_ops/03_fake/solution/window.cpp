// torch.ops.window: partition, merge and occupied, the windows of a Swin-like vision transformer. Given, complete.
//
// Read it as you would read a library's source to write fake kernels for it: what comes out, in which shape, which
// strides, which dtype, and what is refused?
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <tuple>
#include <vector>

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

static int64_t blocks(int64_t length, int64_t size) {
    return (length + size - 1) / size;
}

// Windows lie in memory as (count, size, size, channels) and are seen as (count, channels, size, size).
static Tensor channels_first(const Tensor& windows) {
    return torch::stable::permute(windows, {0, 3, 1, 2});
}

static Tensor channels_last(const Tensor& windows) {
    return torch::stable::contiguous(torch::stable::permute(windows, {0, 2, 3, 1}));
}

// image (batch, height, width, channels) -> windows (batch * blocks * blocks, channels, size, size), zeros beyond the
// image's edges, and used (blocks * blocks, size, size): which places of each window are inside the image.
static std::tuple<Tensor, Tensor> partition(const Tensor& image, int64_t size) {
    STD_TORCH_CHECK(image.dim() == 4, "partition: image must be (batch, height, width, channels)");
    STD_TORCH_CHECK(image.scalar_type() == ScalarType::Float, "partition: image must be float32");
    STD_TORCH_CHECK(size > 0, "partition: size must be positive, it is ", size);
    const Tensor in = torch::stable::contiguous(image);
    const int64_t batch = in.size(0), height = in.size(1), width = in.size(2), channels = in.size(3);
    const int64_t down = blocks(height, size), across = blocks(width, size);
    Tensor windows = torch::stable::new_zeros(in, {batch * down * across, size, size, channels});
    Tensor used = torch::stable::new_zeros(in, {down * across, size, size}, ScalarType::Bool);
    const float* from = in.const_data_ptr<float>();
    float* to = windows.mutable_data_ptr<float>();
    bool* mask = used.mutable_data_ptr<bool>();
    for (int64_t b = 0; b < batch; ++b) {
        for (int64_t y = 0; y < height; ++y) {
            for (int64_t x = 0; x < width; ++x) {
                const int64_t window = y / size * across + x / size, place = y % size * size + x % size;
                const float* pixel = from + ((b * height + y) * width + x) * channels;
                std::copy_n(pixel, channels, to + ((b * down * across + window) * size * size + place) * channels);
                mask[window * size * size + place] = true;
            }
        }
    }
    return {channels_first(windows), used};
}

// The way back: windows as above -> image (batch, height, width, channels), dense.
static Tensor merge(const Tensor& windows, int64_t batch, int64_t height, int64_t width) {
    STD_TORCH_CHECK(windows.dim() == 4, "merge: windows must be (count, channels, size, size)");
    STD_TORCH_CHECK(windows.scalar_type() == ScalarType::Float, "merge: windows must be float32");
    const int64_t count = windows.size(0), channels = windows.size(1), size = windows.size(2);
    STD_TORCH_CHECK(windows.size(3) == size, "merge: windows must be square");
    STD_TORCH_CHECK(size > 0, "merge: windows must not be empty");
    const int64_t down = blocks(height, size), across = blocks(width, size);
    STD_TORCH_CHECK(count == batch * down * across, "merge: ", count, " windows do not make these images");
    const Tensor in = channels_last(windows);
    Tensor image = torch::stable::new_empty(in, {batch, height, width, channels});
    const float* from = in.const_data_ptr<float>();
    float* to = image.mutable_data_ptr<float>();
    for (int64_t b = 0; b < batch; ++b) {
        for (int64_t y = 0; y < height; ++y) {
            for (int64_t x = 0; x < width; ++x) {
                const int64_t window = y / size * across + x / size, place = y % size * size + x % size;
                const float* pixel = from + ((b * down * across + window) * size * size + place) * channels;
                std::copy_n(pixel, channels, to + ((b * height + y) * width + x) * channels);
            }
        }
    }
    return image;
}

// The windows in which something exceeds the threshold: (kept, channels, size, size), and their numbers, int64 (kept).
static std::tuple<Tensor, Tensor> occupied(const Tensor& windows, double threshold) {
    STD_TORCH_CHECK(windows.dim() == 4, "occupied: windows must be (count, channels, size, size)");
    STD_TORCH_CHECK(windows.scalar_type() == ScalarType::Float, "occupied: windows must be float32");
    const Tensor in = channels_last(windows);
    const int64_t count = in.size(0), each = in.size(1) * in.size(2) * in.size(3);
    const float* from = in.const_data_ptr<float>();
    std::vector<int64_t> kept;
    for (int64_t i = 0; i < count; ++i) {
        const float* window = from + i * each;
        if (std::any_of(window, window + each, [=](float v) { return std::abs(v) > threshold; })) kept.push_back(i);
    }
    const int64_t number = static_cast<int64_t>(kept.size());
    Tensor some = torch::stable::new_empty(in, {number, in.size(1), in.size(2), in.size(3)});
    Tensor index = torch::stable::new_empty(in, {number}, ScalarType::Long);
    float* to = some.mutable_data_ptr<float>();
    for (int64_t k = 0; k < number; ++k) std::copy_n(from + kept[k] * each, each, to + k * each);
    std::copy(kept.begin(), kept.end(), index.mutable_data_ptr<int64_t>());
    return {channels_first(some), index};
}

STABLE_TORCH_LIBRARY(window, m) {
    m.def("partition(Tensor image, SymInt size) -> (Tensor, Tensor)");
    m.def("merge(Tensor windows, SymInt batch, SymInt height, SymInt width) -> Tensor");
    m.def("occupied(Tensor windows, float threshold) -> (Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(window, CPU, m) {
    m.impl("partition", TORCH_BOX(&partition));
    m.impl("merge", TORCH_BOX(&merge));
    m.impl("occupied", TORCH_BOX(&occupied));
}
