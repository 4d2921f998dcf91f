#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <numeric>

constexpr std::int64_t kMaxDims = 4;

struct View {
    const float *data;
    std::int64_t ndim;
    std::int64_t shape[kMaxDims];
    std::int64_t strides[kMaxDims];

    static View from_numpy(const void *memory, std::int64_t ndim, const std::int64_t *shape,
                           const std::int64_t *byte_strides);
    View slice(std::int64_t dim, std::int64_t start, std::int64_t stop, std::int64_t step) const;
    View transpose(std::int64_t a, std::int64_t b) const;
    double sum() const;
};

inline View View::from_numpy(const void *memory, std::int64_t ndim, const std::int64_t *shape,
                             const std::int64_t *byte_strides) {
    View view{static_cast<const float *>(memory), ndim, {0, 0, 0, 0}, {0, 0, 0, 0}};
    std::copy_n(shape, ndim, view.shape);
    std::transform(byte_strides, byte_strides + ndim, view.strides,
                   [](std::int64_t bytes) { return bytes / std::int64_t{sizeof(float)}; });
    return view;
}

inline View View::slice(std::int64_t dim, std::int64_t start, std::int64_t stop, std::int64_t step) const {
    auto view = *this;
    const auto sign = step < 0 ? -1 : 1;
    const auto length = std::max<std::int64_t>(0, (stop - start + step - sign) / step);
    view.shape[dim] = length;
    view.strides[dim] = step * view.strides[dim];
    view.data = length ? std::next(data, start * strides[dim]) : data;
    return view;
}

inline View View::transpose(std::int64_t a, std::int64_t b) const {
    auto view = *this;
    std::iter_swap(view.shape + a, view.shape + b);
    std::iter_swap(view.strides + a, view.strides + b);
    return view;
}

// An index that counts up like an odometer; the place moves along with it.
inline double View::sum() const {
    const auto count = std::accumulate(shape, shape + ndim, std::int64_t{1}, std::multiplies<>());
    std::array<std::int64_t, kMaxDims> index{};
    std::int64_t place = 0;
    auto total = 0.0;
    for (std::int64_t number = 0; number < count; ++number) {
        total += data[place];
        for (auto d = ndim - 1; d >= 0; --d) {
            place += strides[d];
            if (++index[d] < shape[d]) {
                break;
            }
            place -= index[d] * strides[d];
            index[d] = 0;
        }
    }
    return total;
}
