// What the kernels need of arithmetic, in a form that a compiler can vectorise without -ffast-math. Given.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

// The dot product of two dense vectors. One sum would be one chain of additions, in an order that the compiler must keep;
// sixteen sums are sixteen short chains, which fit one vector register.
template <typename T>
static inline T dot(const T* a, const T* b, int64_t n) {
    T sums[16] = {};
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        for (int64_t lane = 0; lane < 16; ++lane) sums[lane] += a[i + lane] * b[i + lane];
    }
    T sum = 0;
    for (; i < n; ++i) sum += a[i] * b[i];
    for (int64_t lane = 0; lane < 16; ++lane) sum += sums[lane];
    return sum;
}

// y += factor * x
template <typename T>
static inline void add_scaled(T* y, const T* x, T factor, int64_t n) {
    for (int64_t i = 0; i < n; ++i) y[i] += factor * x[i];
}

// e^x = 2^n * e^r with n = round(x / ln 2); e^r by its series. The relative error stays below 1e-6. Clamped to what a float
// holds; NaN stays NaN.
static inline float exponential(float x) {
    const float high = 88.0f, low = -87.0f;
    const float y = x > high ? high : (x < low ? low : x);
    const float n = std::nearbyint(y * 1.44269504f);
    const float r = (y - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.9841270e-4f;
    p = p * r + 1.3888889e-3f;
    p = p * r + 8.3333333e-3f;
    p = p * r + 4.1666667e-2f;
    p = p * r + 1.6666667e-1f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    const int32_t bits = (static_cast<int32_t>(n) + 127) << 23;
    float power;
    std::memcpy(&power, &bits, sizeof power);
    return p * power;
}

static inline double exponential(double x) {
    return std::exp(x);
}

// tanh x = 1 - 2 / (1 + e^2x), with an absolute error of some 1e-7.
static inline float hyperbolic_tangent(float x) {
    return 1.0f - 2.0f / (1.0f + exponential(2.0f * x));
}

static inline double hyperbolic_tangent(double x) {
    return std::tanh(x);
}
