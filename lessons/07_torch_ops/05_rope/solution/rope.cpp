// rotate_: rotary position embeddings applied in place, to a view of the packed QKV buffer.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <algorithm>
#include <cstdint>

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// Rotate one head at one position. x[d * step] and x[(d + half) * step] are a pair, a point (u, v); angle d turns it.
// sign is 1, or -1 to turn back.
template <typename T>
static void rotate_head(T* x, int64_t step, const T* cos, const T* sin, int64_t half, T sign) {
    // @gap
    T* y = x + half * step;
    for (int64_t d = 0; d < half; ++d) {
        // Both of the pair are read before one of them is written.
        const T u = x[d * step], v = y[d * step], s = sign * sin[d];
        x[d * step] = u * cos[d] - v * s;
        y[d * step] = v * cos[d] + u * s;
    }
    //| // TODO: turn each pair by its angle.
    // @end
}

// Whether two indices of a tensor may mean the same memory (an expanded view, overlapping windows).
static bool overlaps(const Tensor& x) {
    // @gap
    if (x.numel() == 0) return false;
    // From the smallest stride up, each dimension must step over everything that the ones below it span.
    int64_t order[4] = {0, 1, 2, 3}, span = 1;
    std::sort(order, order + 4, [&](int64_t a, int64_t b) { return x.stride(a) < x.stride(b); });
    for (const int64_t axis : order) {
        if (x.size(axis) <= 1) continue;
        if (x.stride(axis) < span) return true;
        span += (x.size(axis) - 1) * x.stride(axis);
    }
    return false;
    //| // TODO: true for an expanded view (stride 0 along a dimension longer than 1), and for overlapping windows.
    //| return false;
    // @end
}

static void check(const Tensor& x, const Tensor& cos, const Tensor& sin) {
    STD_TORCH_CHECK(x.dim() == 4, "rotate_: x must be (batch, positions, heads, dim), it has ", x.dim(), " dimensions");
    STD_TORCH_CHECK(x.size(3) % 2 == 0, "rotate_: dim must be even, it is ", x.size(3));
    for (const Tensor* table : {&cos, &sin}) {
        STD_TORCH_CHECK(
            table->dim() == 2 && table->size(0) == x.size(1) && table->size(1) == x.size(3) / 2,
            "rotate_: cos and sin must be (positions, dim / 2)");
        STD_TORCH_CHECK(table->scalar_type() == x.scalar_type(), "rotate_: cos and sin must have the dtype of x");
    }
    // @gap
    STD_TORCH_CHECK(!overlaps(x), "rotate_: elements of x share memory, so they can't be written one by one");
    //| // TODO: refuse an x whose elements share memory.
    // @end
}

template <typename T>
static void rotate(const Tensor& x, const Tensor& cos, const Tensor& sin, bool inverse) {
    const int64_t positions = x.size(1), heads = x.size(2), half = x.size(3) / 2;
    const T sign = inverse ? T(-1) : T(1);
    // @gap
    const int64_t by_batch = x.stride(0), by_position = x.stride(1), by_head = x.stride(2), step = x.stride(3);
    T* data = x.mutable_data_ptr<T>();
    const T* c = cos.const_data_ptr<T>();
    const T* s = sin.const_data_ptr<T>();
    const int64_t grain = 1 + 16384 / (heads * half + 1);
    torch::stable::parallel_for(0, x.size(0) * positions, grain, [=](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            const int64_t n = i % positions;
            T* row = data + (i / positions) * by_batch + n * by_position;
            for (int64_t h = 0; h < heads; ++h) {
                T* head = row + h * by_head;
                // The constant 1 is what lets the compiler use vector loads.
                if (step == 1) {
                    rotate_head(head, 1, c + n * half, s + n * half, half, sign);
                } else {
                    rotate_head(head, step, c + n * half, s + n * half, half, sign);
                }
            }
        }
    });
    //| // TODO: this is right for a dense x only. Go by x's strides, and share the positions out among threads.
    //| for (int64_t i = 0; i < x.size(0) * positions * heads; ++i) {
    //|     const int64_t n = i / heads % positions;
    //|     const T *c = cos.const_data_ptr<T>() + n * half, *s = sin.const_data_ptr<T>() + n * half;
    //|     rotate_head(x.mutable_data_ptr<T>() + i * 2 * half, 1, c, s, half, sign);
    //| }
    // @end
}

static void rotate_(const Tensor& x, const Tensor& cos, const Tensor& sin, bool inverse) {
    check(x, cos, sin);
    const ScalarType dtype = x.scalar_type();
    STD_TORCH_CHECK(
        dtype == ScalarType::Float || dtype == ScalarType::Double,
        "rotate_: x must be float32 or float64, it is ",
        torch::headeronly::toString(dtype));
    // The tables are small: a dense copy of a view of them is no loss. x itself is never copied.
    const Tensor c = torch::stable::contiguous(cos), s = torch::stable::contiguous(sin);
    if (dtype == ScalarType::Float) {
        rotate<float>(x, c, s, inverse);
    } else {
        rotate<double>(x, c, s, inverse);
    }
}

STABLE_TORCH_LIBRARY(rope, m) {
    // @gap
    m.def("rotate_(Tensor(a!) x, Tensor cos, Tensor sin, bool inverse=False) -> ()");
    //| // TODO: the schema must say that x is written.
    //| m.def("rotate_(Tensor x, Tensor cos, Tensor sin, bool inverse=False) -> ()");
    // @end
}

STABLE_TORCH_LIBRARY_IMPL(rope, CPU, m) {
    m.impl("rotate_", TORCH_BOX(&rotate_));
}
