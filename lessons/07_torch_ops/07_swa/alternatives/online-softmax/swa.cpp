// Forward: one pass over the keys with a running maximum. Backward: one pass by queries for dq, one by keys for dk and dv.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <tuple>
#include <utility>

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

template <typename T>
static T inner(const T *a, const T *b, int64_t n) {
    T total = 0;
    for (int64_t i = 0; i < n; ++i) total += a[i] * b[i];
    return total;
}

struct Sizes {
    int64_t heads, n, d, window;
    double cap;
};

template <typename T>
class Attention {
  public:
    Attention(const Sizes &sizes, const Tensor &q, const Tensor &k, const Tensor &v)
        : n_(sizes.n),
          d_(sizes.d),
          window_(sizes.window),
          cap_(static_cast<T>(sizes.cap)),
          scale_(1 / std::sqrt(static_cast<T>(sizes.d))),
          q_(q.const_data_ptr<T>()),
          k_(k.const_data_ptr<T>()),
          v_(v.const_data_ptr<T>()) {}

    // `row` counts the positions of all heads.
    T look(int64_t row, T *out) const {
        T top = -std::numeric_limits<T>::infinity(), total = 0;
        std::fill(out, out + d_, T(0));
        for (int64_t other = oldest(row); other <= row; ++other) {
            const T score = cap_ * bent(row, other);
            if (score > top) {
                // What has been summed so far was relative to a smaller maximum.
                const T shrink = std::exp(top - score);
                total *= shrink;
                for (int64_t c = 0; c < d_; ++c) out[c] *= shrink;
                top = score;
            }
            const T weight = std::exp(score - top);
            total += weight;
            for (int64_t c = 0; c < d_; ++c) out[c] += weight * v_[other * d_ + c];
        }
        for (int64_t c = 0; c < d_; ++c) out[c] /= total;
        return top + std::log(total);
    }

    struct Past {
        const T *grad, *out, *lse;
    };

    void query_gradient(int64_t row, const Past &past, T *dq) const {
        for (int64_t other = oldest(row); other <= row; ++other) {
            const T slope = score_gradient(row, other, past).second;
            for (int64_t c = 0; c < d_; ++c) dq[c] += slope * k_[other * d_ + c];
        }
    }

    void key_gradients(int64_t row, const Past &past, T *dk, T *dv) const {
        const int64_t end = std::min((row / n_ + 1) * n_, row + window_);
        for (int64_t later = row; later < end; ++later) {
            const auto [p, slope] = score_gradient(later, row, past);
            for (int64_t c = 0; c < d_; ++c) {
                dk[c] += slope * q_[later * d_ + c];
                dv[c] += p * past.grad[later * d_ + c];
            }
        }
    }

  private:
    int64_t oldest(int64_t row) const {
        const int64_t head = row - row % n_;
        return row - head < window_ ? head : row - window_ + 1;
    }

    T bent(int64_t i, int64_t j) const { return std::tanh(scale_ * inner(q_ + i * d_, k_ + j * d_, d_) / cap_); }

    // The probability, and the gradient of the product q . k.
    std::pair<T, T> score_gradient(int64_t i, int64_t j, const Past &past) const {
        const T t = bent(i, j), p = std::exp(cap_ * t - past.lse[i]);
        const T *g = past.grad + i * d_, *o = past.out + i * d_, *value = v_ + j * d_;
        T difference = 0;
        for (int64_t c = 0; c < d_; ++c) difference += g[c] * (value[c] - o[c]);
        return {p, p * difference * (1 - t * t) * scale_};
    }

    int64_t n_, d_, window_;
    T cap_, scale_;
    const T *q_, *k_, *v_;
};

static Sizes measure(const Tensor &q, const Tensor &k, const Tensor &v, int64_t window, double cap) {
    STD_TORCH_CHECK(q.dim() == 4 && k.dim() == 4 && v.dim() == 4, "q, k, v: four dimensions");
    for (int64_t axis = 0; axis < 4; ++axis) {
        STD_TORCH_CHECK(q.size(axis) == k.size(axis), "q and k differ in dimension ", axis);
        STD_TORCH_CHECK(q.size(axis) == v.size(axis), "q and v differ in dimension ", axis);
    }
    const auto kind = q.scalar_type();
    STD_TORCH_CHECK(kind == k.scalar_type() && kind == v.scalar_type(), "q, k, v: one dtype");
    STD_TORCH_CHECK(kind == ScalarType::Float || kind == ScalarType::Double, "q, k, v: float32 or float64");
    STD_TORCH_CHECK(window >= 1, "window: at least 1");
    STD_TORCH_CHECK(cap > 0.0, "cap: more than 0");
    return {q.size(0) * q.size(1), q.size(2), q.size(3), std::min(window, q.size(2)), cap};
}

template <typename T>
static void fill_forward(const Sizes &sizes, const Tensor &q, const Tensor &k, const Tensor &v, Tensor &out,
                         Tensor &lse) {
    const Attention<T> attention(sizes, q, k, v);
    T *result = out.mutable_data_ptr<T>(), *sums = lse.mutable_data_ptr<T>();
    torch::stable::parallel_for(0, sizes.heads * sizes.n, 16, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) sums[row] = attention.look(row, result + row * sizes.d);
    });
}

static std::tuple<Tensor, Tensor> swa_forward(Tensor q, Tensor k, Tensor v, int64_t window, double cap) {
    const Sizes sizes = measure(q, k, v, window, cap);
    q = torch::stable::contiguous(q);
    k = torch::stable::contiguous(k);
    v = torch::stable::contiguous(v);
    Tensor out = torch::stable::new_empty(q, q.sizes());
    Tensor lse = torch::stable::new_empty(q, q.sizes().slice(0, 3));
    if (q.scalar_type() == ScalarType::Double) {
        fill_forward<double>(sizes, q, k, v, out, lse);
    } else {
        fill_forward<float>(sizes, q, k, v, out, lse);
    }
    return {out, lse};
}

template <typename T>
static void fill_backward(const Sizes &sizes, const Attention<T> &attention, const typename Attention<T>::Past &past,
                          Tensor &dq, Tensor &dk, Tensor &dv) {
    T *qs = dq.mutable_data_ptr<T>(), *ks = dk.mutable_data_ptr<T>(), *vs = dv.mutable_data_ptr<T>();
    // Each task writes rows of its own, here and there.
    torch::stable::parallel_for(0, sizes.heads * sizes.n, 16, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
            const int64_t at = row * sizes.d;
            attention.query_gradient(row, past, qs + at);
            attention.key_gradients(row, past, ks + at, vs + at);
        }
    });
}

static std::tuple<Tensor, Tensor, Tensor> swa_backward(Tensor grad, Tensor q, Tensor k, Tensor v, Tensor out,
                                                       Tensor lse, int64_t window, double cap) {
    const Sizes sizes = measure(q, k, v, window, cap);
    for (Tensor *tensor : {&grad, &q, &k, &v, &out, &lse}) *tensor = torch::stable::contiguous(*tensor);
    Tensor dq = torch::stable::new_zeros(q, q.sizes());
    Tensor dk = torch::stable::new_zeros(k, k.sizes());
    Tensor dv = torch::stable::new_zeros(v, v.sizes());
    if (q.scalar_type() == ScalarType::Double) {
        fill_backward<double>(
            sizes, Attention<double>(sizes, q, k, v),
            {grad.const_data_ptr<double>(), out.const_data_ptr<double>(), lse.const_data_ptr<double>()}, dq, dk, dv);
    } else {
        fill_backward<float>(sizes, Attention<float>(sizes, q, k, v),
                             {grad.const_data_ptr<float>(), out.const_data_ptr<float>(), lse.const_data_ptr<float>()},
                             dq, dk, dv);
    }
    return {dq, dk, dv};
}

STABLE_TORCH_LIBRARY(swa, m) {
    m.def("forward(Tensor q, Tensor k, Tensor v, SymInt window, float cap) -> (Tensor, Tensor)");
    m.def(
        "backward(Tensor grad, Tensor q, Tensor k, Tensor v, Tensor out, Tensor lse, SymInt window, float cap)"
        " -> (Tensor, Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(swa, CPU, m) {
    m.impl("forward", TORCH_BOX(&swa_forward));
    m.impl("backward", TORCH_BOX(&swa_backward));
}
