// RMSNorm for any floating-point type: one template, and one line that says in which type its sums are kept.
#pragma once

#include <cmath>
#include <cstdint>

// The type in which sums over values of type T are kept. This is the primary template: what holds for every T that has
// no specialisation of its own.
template <typename T>
struct Accumulator {
    using type = T;
};

// @gap
// float has 24 bits for its digits: 16,777,216 + 1 is 16,777,216, so a sum of ones stops there. And the square of 1e20
// is no float any more. double has 53 bits and reaches to 1e308, and converting to it is exact.
template <>
struct Accumulator<float> {
    using type = double;
};
//| // TODO: what are sums of float kept in?
// @end

template <typename T>
using accumulator_t = typename Accumulator<T>::type;

// 1 / sqrt(mean(x * x) + eps) of n >= 1 values that lie side by side; 0 when the mean and eps are both 0.
template <typename T>
accumulator_t<T> inverse_rms(const T *x, std::int64_t n, double eps) {
    using Acc = accumulator_t<T>;
    // @gap
    // One sum would wait 4 cycles for each of its additions. Sixteen that don't wait for each other fill the vector
    // registers; a compiler may not split the sum by itself, because another order rounds differently.
    constexpr std::int64_t kLanes = 16;
    Acc sums[kLanes] = {};
    std::int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
        for (std::int64_t lane = 0; lane < kLanes; lane++) {
            const Acc value = x[i + lane];  // to Acc first: the square itself may not fit a T
            sums[lane] += value * value;
        }
    }
    Acc sum = 0;
    for (; i < n; i++) {  // what is left, up to 15
        const Acc value = x[i];
        sum += value * value;
    }
    for (Acc part : sums) {
        sum += part;
    }
    const Acc square = sum / static_cast<Acc>(n) + static_cast<Acc>(eps);
    return square == 0 ? Acc(0) : Acc(1) / std::sqrt(square);  // std::sqrt has an overload a type; sqrtf would not do
    //| // TODO: square and add in Acc.
    //| return Acc(0);
    // @end
}

// out[r, i] = x[r, i] * inverse_rms(row r) * weight[i]. Row r of x begins `stride` elements after row r - 1, stride >=
// dim; the rows of out lie side by side. weight may be nullptr: then there is none. out overlaps nothing.
template <typename T>
void rmsnorm(const T *x, std::int64_t stride, const T *weight, T *out, std::int64_t rows, std::int64_t dim,
             double eps) {
    // @gap
    for (std::int64_t r = 0; r < rows; r++) {
        const T *row = x + r * stride;
        T *__restrict to = out + r * dim;  // __restrict: writes through it change nothing that is read here
        if (dim == 0) {
            continue;
        }
        // Only the sum needed the wider type: multiplying as T takes twice as many values a register.
        const T scale = static_cast<T>(inverse_rms(row, dim, eps));
        if (weight == nullptr) {
            for (std::int64_t i = 0; i < dim; i++) {
                to[i] = row[i] * scale;
            }
        } else {
            for (std::int64_t i = 0; i < dim; i++) {
                to[i] = row[i] * scale * weight[i];
            }
        }
    }
    //| // TODO: for each row its scale, then the products. Where does row r begin?
    // @end
}
