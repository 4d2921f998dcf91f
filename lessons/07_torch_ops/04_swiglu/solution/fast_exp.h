// e^x that a compiler can vectorise: no branch, no table, no call. Given.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

// e^x = 2^n * e^r, where n = round(x / ln 2) and |r| <= ln 2 / 2; e^r by its series up to r^7. The relative error stays below 1e-6.
// Clamped to what a float holds, so that e^-g of a very negative gate is large and not NaN. NaN stays NaN.
static inline float exponential(float x) {
    const float high = 88.0f, low = -87.0f;
    const float y = x > high ? high : (x < low ? low : x);
    const float n = std::nearbyint(y * 1.44269504f);
    const float r = (y - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts: the first has few bits
    float p = 1.9841270e-4f;
    p = p * r + 1.3888889e-3f;
    p = p * r + 8.3333333e-3f;
    p = p * r + 4.1666667e-2f;
    p = p * r + 1.6666667e-1f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    const int32_t bits = (static_cast<int32_t>(n) + 127) << 23;  // 2^n, by its exponent
    float power;
    std::memcpy(&power, &bits, sizeof power);
    return p * power;
}

static inline double exponential(double x) {
    return std::exp(x);
}
