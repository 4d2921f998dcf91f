#pragma once

#include <cstdint>

constexpr std::int64_t kMaxDims = 4;

struct View {
    const float *data;
    std::int64_t ndim;
    std::int64_t shape[kMaxDims];
    std::int64_t strides[kMaxDims];

    static View from_numpy(const void *memory, std::int64_t ndim, const std::int64_t *shape,
                           const std::int64_t *byte_strides) {
        View made = {};
        made.data = reinterpret_cast<const float *>(memory);
        made.ndim = ndim;
        for (int d = 0; d != ndim; ++d) {
            made.shape[d] = shape[d];
            made.strides[d] = byte_strides[d] / 4;
        }
        return made;
    }

    View slice(std::int64_t dim, std::int64_t start, std::int64_t stop, std::int64_t step) const {
        View part(*this);
        std::int64_t count = 0;
        for (std::int64_t at = start; step > 0 ? at < stop : at > stop; at += step) {
            count++;
        }
        part.shape[dim] = count;
        part.strides[dim] *= step;
        if (count != 0) {
            part.data = data + strides[dim] * start;
        }
        return part;
    }

    View transpose(std::int64_t a, std::int64_t b) const {
        View turned = *this;
        turned.shape[a] = shape[b];
        turned.shape[b] = shape[a];
        turned.strides[a] = strides[b];
        turned.strides[b] = strides[a];
        return turned;
    }

    double sum() const { return sum_from(0, data); }

  private:
    double sum_from(std::int64_t dim, const float *at) const {
        if (dim == ndim) {
            return *at;
        }
        double total = 0.0;
        for (std::int64_t i = 0; i < shape[dim]; ++i) {
            total += sum_from(dim + 1, at + i * strides[dim]);
        }
        return total;
    }
};
