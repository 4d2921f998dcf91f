// A tensor without the tensor library: a pointer, a shape and strides. Nothing here owns or copies an element.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <utility>

constexpr std::int64_t kMaxDims = 4;

// Up to four dimensions of float32 that somebody else owns. The element (i, j, ...) lies at
// data[i * strides[0] + j * strides[1] + ...]. Python reads these fields, so keep them as they are.
struct View {
    const float* data;              // the element (0, 0, ...)
    std::int64_t ndim;              // 0 to 4; 0 is one single element
    std::int64_t shape[kMaxDims];   // elements along each dimension, 0 or more
    std::int64_t strides[kMaxDims]; // in ELEMENTS, as in PyTorch; may be 0 or negative

    // A view of NumPy's memory. NumPy counts strides in BYTES; every stride here is a multiple of 4.
    static View from_numpy(const void* memory, std::int64_t ndim, const std::int64_t* shape,
                           const std::int64_t* byte_strides);

    // Every `step`-th element of dimension `dim`, from `start` up to, not including, `stop` (down to, when step < 0).
    // The numbers are those of Python's slice.indices(): never out of range, step never 0, stop may be -1 when step < 0.
    View slice(std::int64_t dim, std::int64_t start, std::int64_t stop, std::int64_t step) const;

    // The dimensions a and b exchanged.
    View transpose(std::int64_t a, std::int64_t b) const;

    // The sum of all elements in double, 0 when there are none. No copy, no allocation.
    double sum() const;
};

inline View View::from_numpy(const void* memory, std::int64_t ndim, const std::int64_t* shape,
                             const std::int64_t* byte_strides) {
    View view{static_cast<const float*>(memory), ndim, {}, {}};
    // @gap
    for (std::int64_t d = 0; d < ndim; d++) {
        view.shape[d] = shape[d];
        // sizeof is unsigned: without the cast a stride of -4 would be converted to unsigned first, and -4 / 4
        // would be 4611686018427387903.
        view.strides[d] = byte_strides[d] / static_cast<std::int64_t>(sizeof(float));
    }
    //| // TODO: shape and strides. Bytes to elements; a stride may be negative.
    // @end
    return view;
}

inline View View::slice(std::int64_t dim, std::int64_t start, std::int64_t stop, std::int64_t step) const {
    View view = *this; // a copy of the description, 80 bytes; not of the data
    // @gap
    const std::int64_t span = step > 0 ? stop - start : start - stop;
    const std::int64_t stride = step > 0 ? step : -step;
    const std::int64_t length = span > 0 ? (span + stride - 1) / stride : 0; // rounded up: 5 elements by 2 are 3
    if (length > 0) {
        view.data += start * strides[dim]; // an empty slice may start outside: leave its pointer alone
    }
    view.shape[dim] = length;
    view.strides[dim] = strides[dim] * step; // the stride may have a step in it already
    //| // TODO: where the slice begins, how many elements it has, how far apart they are.
    // @end
    return view;
}

inline View View::transpose(std::int64_t a, std::int64_t b) const {
    View view = *this;
    // @gap
    std::swap(view.shape[a], view.shape[b]);
    std::swap(view.strides[a], view.strides[b]);
    //| // TODO
    // @end
    return view;
}

// @gap
// The sum of n elements, `stride` apart. An addition waits for the one before it (about 4 cycles), so four totals that
// don't wait for each other take a quarter of the time. A compiler may not do this by itself: it changes the rounding.
inline double sum_row(const float* p, std::int64_t n, std::int64_t stride) {
    double totals[4] = {0, 0, 0, 0};
    std::int64_t i = 0;
    for (; i + 4 <= n; i += 4) {
        for (std::int64_t k = 0; k < 4; k++) {
            totals[k] += p[(i + k) * stride];
        }
    }
    for (; i < n; i++) { // what is left, up to three
        totals[0] += p[i * stride];
    }
    return (totals[0] + totals[1]) + (totals[2] + totals[3]);
}
// @end

inline double View::sum() const {
    // @gap
    // A sum may take the elements in any order, so take the order of memory: the smallest stride innermost. Walking
    // a transposed matrix row by row would load a cache line of 16 floats for each single float.
    std::int64_t length[kMaxDims] = {1, 1, 1, 1}; // a dimension that is not there has one element
    std::int64_t stride[kMaxDims] = {0, 0, 0, 0}; // ascending; [0] is the innermost
    std::int64_t used = 0;
    for (std::int64_t d = 0; d < ndim; d++) {
        if (shape[d] == 1) {
            continue; // would be an innermost loop of one round
        }
        std::int64_t k = used++;
        for (; k > 0 && std::abs(stride[k - 1]) > std::abs(strides[d]); k--) {
            length[k] = length[k - 1];
            stride[k] = stride[k - 1];
        }
        length[k] = shape[d];
        stride[k] = strides[d];
    }
    double total = 0;
    for (std::int64_t l = 0; l < length[3]; l++) {
        for (std::int64_t k = 0; k < length[2]; k++) {
            for (std::int64_t j = 0; j < length[1]; j++) {
                const float* row = data + l * stride[3] + k * stride[2] + j * stride[1];
                total += sum_row(row, length[0], stride[0]);
            }
        }
    }
    return total;
    //| // TODO: every element once, wherever the strides say that it lies. Add in double.
    //| return 0;
    // @end
}
