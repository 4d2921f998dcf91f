// Given: makes functions of the templates and exports them. Without this file rmsnorm.hpp is no machine code at all.
#include "rmsnorm.hpp"

#include <cmath>
#include <type_traits>

// A template is compiled when somebody uses it with a type. Here: float and double.
static_assert(std::is_floating_point_v<accumulator_t<float>> && std::is_floating_point_v<accumulator_t<double>>,
              "sums are kept in a floating-point type");

extern "C" {

double inverse_rms_f32(const float *x, std::int64_t n, double eps) {
    return static_cast<double>(inverse_rms(x, n, eps));  // T is deduced: float
}

double inverse_rms_f64(const double *x, std::int64_t n, double eps) {
    return static_cast<double>(inverse_rms(x, n, eps));
}

void rmsnorm_f32(const float *x, std::int64_t stride, const float *weight, float *out, std::int64_t rows,
                 std::int64_t dim, double eps) {
    rmsnorm(x, stride, weight, out, rows, dim, eps);
}

void rmsnorm_f64(const double *x, std::int64_t stride, const double *weight, double *out, std::int64_t rows,
                 std::int64_t dim, double eps) {
    rmsnorm(x, stride, weight, out, rows, dim, eps);
}

// For the benchmark: each sum is one chain of additions, as a plain loop is compiled. Arguments as above, dense rows.
void rmsnorm_f32_one_chain(const float *x, const float *weight, float *out, std::int64_t rows, std::int64_t dim,
                           double eps) {
    for (std::int64_t row = 0; row < rows; row++, x += dim, out += dim) {
        double sum = 0;
        for (std::int64_t i = 0; i < dim; i++) {
            sum += static_cast<double>(x[i]) * x[i];
        }
        const double scale = 1 / std::sqrt(sum / static_cast<double>(dim) + eps);
        for (std::int64_t i = 0; i < dim; i++) {
            out[i] = static_cast<float>(x[i] * scale) * weight[i];
        }
    }
}
}
