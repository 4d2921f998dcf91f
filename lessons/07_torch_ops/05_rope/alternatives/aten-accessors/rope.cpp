// torch/library.h: packed accessors of ATen, tasks of one head each.
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <complex>
#include <numeric>

namespace rope {

// Sorted by stride, each dimension has to begin beyond the last element of those before it.
bool shared(const at::Tensor &x) {
    if (x.numel() < 2) return false;
    std::array<int64_t, 4> axes;
    std::iota(axes.begin(), axes.end(), 0);
    std::stable_sort(axes.begin(), axes.end(), [&x](int64_t a, int64_t b) { return x.stride(a) < x.stride(b); });
    int64_t last = 0;
    for (const int64_t a : axes) {
        if (x.size(a) == 1) continue;
        if (x.stride(a) <= last) return true;
        last += (x.size(a) - 1) * x.stride(a);
    }
    return false;
}

void check(const at::Tensor &x, const at::Tensor &table) {
    TORCH_CHECK_VALUE(table.dim() == 2, "a table has two dimensions");
    TORCH_CHECK_VALUE(table.size(0) == x.size(1), "a table has a row for each position");
    TORCH_CHECK_VALUE(2 * table.size(1) == x.size(3), "a table has a column for each pair");
    TORCH_CHECK_TYPE(table.scalar_type() == x.scalar_type(), "a table has the dtype of x");
}

void rotate_(at::Tensor &x, const at::Tensor &cos, const at::Tensor &sin, bool inverse) {
    TORCH_CHECK(x.dim() == 4, "x has four dimensions");
    TORCH_CHECK(x.size(3) % 2 == 0, "dim is even");
    check(x, cos);
    check(x, sin);
    TORCH_CHECK(!shared(x), "rotate_ writes each element once, and x has some that are one and the same");
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "rotate_", [&] {
        auto heads = x.accessor<scalar_t, 4>();
        const auto c = cos.accessor<const scalar_t, 2>(), s = sin.accessor<const scalar_t, 2>();
        const int64_t positions = x.size(1), each = x.size(2), half = x.size(3) / 2;
        at::parallel_for(0, x.size(0) * positions * each, 64, [&](int64_t begin, int64_t end) {
            for (int64_t task = begin; task < end; ++task) {
                const int64_t b = task / (positions * each), n = task / each % positions, h = task % each;
                auto head = heads[b][n][h];
                for (int64_t d = 0; d < half; ++d) {
                    // A turn in the plane is a product of complex numbers.
                    const std::complex<scalar_t> point(head[d], head[d + half]);
                    const std::complex<scalar_t> turn(c[n][d], inverse ? -s[n][d] : s[n][d]);
                    const std::complex<scalar_t> turned = point * turn;
                    head[d] = turned.real();
                    head[d + half] = turned.imag();
                }
            }
        });
    });
}

}  // namespace rope

TORCH_LIBRARY(rope, m) {
    m.def("rotate_(Tensor(a!) x, Tensor cos, Tensor sin, bool inverse=False) -> ()");
}

TORCH_LIBRARY_IMPL(rope, CPU, m) {
    m.impl("rotate_", &rope::rotate_);
}
