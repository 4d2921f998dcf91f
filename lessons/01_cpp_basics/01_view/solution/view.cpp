// Given: the functions that Python calls through ctypes, and the sum that the benchmark compares yours with.
#include "view.hpp"

#include <cstddef>
#include <type_traits>

// Python mirrors the struct: its layout is a contract between the two languages.
static_assert(std::is_standard_layout_v<View> && std::is_trivially_copyable_v<View>, "View must stay plain data");
static_assert(offsetof(View, data) == 0 && offsetof(View, ndim) == 8, "keep the fields of View as they are");
static_assert(offsetof(View, shape) == 16 && offsetof(View, strides) == 48, "keep the fields of View as they are");
static_assert(sizeof(View) == 80, "Python allocates 80 bytes for a View: add no field");

// extern "C" switches C++ name mangling off, so that the symbol is called view_sum and not _Z8view_sumPK4View.
extern "C" {

void view_from_numpy(View* out, const void* memory, std::int64_t ndim, const std::int64_t* shape,
                     const std::int64_t* byte_strides) {
    *out = View::from_numpy(memory, ndim, shape, byte_strides);
}

void view_slice(const View* view, View* out, std::int64_t dim, std::int64_t start, std::int64_t stop,
                std::int64_t step) {
    *out = view->slice(dim, start, stop, step);
}

void view_transpose(const View* view, View* out, std::int64_t a, std::int64_t b) {
    *out = view->transpose(a, b);
}

double view_sum(const View* view) {
    return view->sum();
}

// The baseline: for each element, its index from its number by division, and its place from its index.
double view_sum_by_index(const View* view) {
    std::int64_t count = 1;
    for (std::int64_t d = 0; d < view->ndim; d++) {
        count *= view->shape[d];
    }
    double total = 0;
    for (std::int64_t number = 0; number < count; number++) {
        std::int64_t rest = number;
        std::int64_t place = 0;
        for (std::int64_t d = view->ndim - 1; d >= 0; d--) {
            place += rest % view->shape[d] * view->strides[d];
            rest /= view->shape[d];
        }
        total += view->data[place];
    }
    return total;
}
}
