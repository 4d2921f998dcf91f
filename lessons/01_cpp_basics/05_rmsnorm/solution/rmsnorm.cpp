// Given: makes functions of the templates and exports them. Without this file rmsnorm.hpp is no machine code at all.
#include "rmsnorm.hpp"

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
}
