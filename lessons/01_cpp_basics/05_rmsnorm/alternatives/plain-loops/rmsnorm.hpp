#pragma once

#include <cmath>
#include <cstdint>

// Sums are kept in double, whatever is summed.
template <typename T>
struct Accumulator {
    typedef double type;
};

template <typename T>
using accumulator_t = typename Accumulator<T>::type;

template <typename T>
accumulator_t<T> inverse_rms(const T *x, std::int64_t n, double eps) {
    double total = 0.0;
    for (std::int64_t i = 0; i != n; ++i) {
        total += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    }
    const double mean = total / static_cast<double>(n);
    if (mean + eps == 0.0) {
        return 0.0;
    }
    return 1.0 / std::sqrt(mean + eps);
}

template <typename T>
void rmsnorm(const T *x, std::int64_t stride, const T *weight, T *out, std::int64_t rows, std::int64_t dim,
             double eps) {
    if (dim < 1) {
        return;
    }
    for (; rows > 0; --rows, x += stride) {
        const double scale = inverse_rms(x, dim, eps);
        for (std::int64_t i = 0; i != dim; ++i) {
            double value = static_cast<double>(x[i]) * scale;
            if (weight) {
                value *= static_cast<double>(weight[i]);
            }
            *out++ = static_cast<T>(value);
        }
    }
}
