#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <type_traits>

template <typename T>
struct Accumulator : std::conditional<(sizeof(T) < sizeof(double)), double, T> {};

template <typename T>
using accumulator_t = typename Accumulator<T>::type;

template <typename T>
accumulator_t<T> inverse_rms(const T *x, std::int64_t n, double eps) {
    using Acc = accumulator_t<T>;
    const Acc squares = std::accumulate(x, x + n, Acc{0}, [](Acc sum, T value) {
        const Acc wide{value};
        return sum + wide * wide;
    });
    const Acc inside = squares / static_cast<Acc>(n) + static_cast<Acc>(eps);
    return inside > Acc{0} ? 1 / std::sqrt(inside) : inside - inside;
}

template <typename T>
void rmsnorm(const T *x, std::int64_t stride, const T *weight, T *out, std::int64_t rows, std::int64_t dim,
             double eps) {
    for (std::int64_t r = 0; dim > 0 && r < rows; ++r) {
        const T *begin = x + r * stride;
        const auto scale = inverse_rms(begin, dim, eps);
        T *to = out + r * dim;
        if (weight != nullptr) {
            std::transform(begin, begin + dim, weight, to,
                           [scale](T value, T w) { return static_cast<T>(static_cast<T>(value * scale) * w); });
        } else {
            std::transform(begin, begin + dim, to, [scale](T value) { return static_cast<T>(value * scale); });
        }
    }
}
