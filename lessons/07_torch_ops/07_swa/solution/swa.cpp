// Causal attention over a sliding window, with soft-capped scores: forward and backward in memory linear in the length.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <tuple>
#include <vector>

#include "fast_math.h"

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// One head: n positions of d numbers each, q, k and v dense.
template <typename T>
struct Head {
    const T *q, *k, *v;
    int64_t n, d, window;
    T scale, cap;
};

// The first key that query i sees. It sees the keys first .. i: at most `window` of them, its own among them.
template <typename T>
static int64_t first_key(const Head<T>& head, int64_t i) {
    // @gap
    return std::max<int64_t>(0, i - head.window + 1);
    //| return i;  // TODO: this sees the key of its own only
    // @end
}

// squashed[t] = tanh(scale * q_i . k_j / cap) for the keys j = first + t that query i sees. cap * squashed is the score.
template <typename T>
static void squash(const Head<T>& head, int64_t i, int64_t first, T* squashed) {
    const T factor = head.scale / head.cap;
    // @gap
    const T* q = head.q + i * head.d;
    for (int64_t j = first; j <= i; ++j) squashed[j - first] = factor * dot(q, head.k + j * head.d, head.d);
    // A loop of its own: it has no sums in it and becomes vector code.
    for (int64_t t = 0; t <= i - first; ++t) squashed[t] = hyperbolic_tangent(squashed[t]);
    //| // TODO
    //| for (int64_t t = 0; t <= i - first; ++t) squashed[t] = factor * 0;
    // @end
}

// out_i = sum over j of softmax(score)_j * v_j. Returns log(sum over j of e^score_j), which is all that the backward needs
// to find each probability again. `scores` has room for one window.
template <typename T>
static T attend(const Head<T>& head, int64_t i, T* scores, T* out) {
    const int64_t first = first_key(head, i), count = i - first + 1;
    squash(head, i, first, scores);
    // @gap
    // e^score overflows for large scores; e^(score - largest) is at most 1.
    T largest = scores[0];
    for (int64_t t = 1; t < count; ++t) largest = std::max(largest, scores[t]);
    for (int64_t t = 0; t < count; ++t) scores[t] = exponential(head.cap * (scores[t] - largest));
    T sum = 0;
    for (int64_t t = 0; t < count; ++t) sum += scores[t];
    std::fill_n(out, head.d, T(0));
    for (int64_t t = 0; t < count; ++t) add_scaled(out, head.v + (first + t) * head.d, scores[t] / sum, head.d);
    return head.cap * largest + std::log(sum);
    //| // TODO: the softmax of cap * scores, then the mean of v by it.
    //| std::fill_n(out, head.d, T(0));
    //| return T(count);
    // @end
}

// Adds what query i contributes to dq (its own row), dk and dv (the rows of its window). `squashed` and `p` have room for
// one window each.
template <typename T>
static void contribute(
    const Head<T>& head, int64_t i, const T* grad, const T* out, T lse, T* squashed, T* p, T* dq, T* dk, T* dv) {
    const int64_t first = first_key(head, i), count = i - first + 1, d = head.d;
    squash(head, i, first, squashed);
    // @gap
    for (int64_t t = 0; t < count; ++t) p[t] = exponential(head.cap * squashed[t] - lse);
    // Softmax: ds_j = p_j * (dp_j - sum of p * dp), and that sum is grad . out.
    const T mean = dot(grad, out, d);
    for (int64_t t = 0; t < count; ++t) {
        const int64_t j = first + t;
        const T dp = dot(grad, head.v + j * d, d);
        // The derivative of tanh is 1 - tanh^2; cap * (1 / cap) is 1.
        const T ds = p[t] * (dp - mean) * (1 - squashed[t] * squashed[t]) * head.scale;
        add_scaled(dv + j * d, grad, p[t], d);
        add_scaled(dq, head.k + j * d, ds, d);
        add_scaled(dk + j * d, head.q + i * d, ds, d);
    }
    //| // TODO: p from squashed and lse, then dv, and through softmax, tanh and the product dq and dk.
    //| for (int64_t t = 0; t < count; ++t) p[t] = lse * 0;
    //| dq[0] = dk[first * d] = dv[first * d] = 0;
    // @end
}

static void check(const Tensor& q, const Tensor& k, const Tensor& v, int64_t window, double cap) {
    STD_TORCH_CHECK(q.dim() == 4, "swa: q, k and v must be (batch, heads, positions, dim)");
    const ScalarType dtype = q.scalar_type();
    STD_TORCH_CHECK(dtype == ScalarType::Float || dtype == ScalarType::Double, "swa: q must be float32 or float64");
    for (const Tensor* other : {&k, &v}) {
        STD_TORCH_CHECK(other->scalar_type() == dtype, "swa: q, k and v must have one dtype");
        STD_TORCH_CHECK(other->sizes().vec() == q.sizes().vec(), "swa: q, k and v must have one shape");
    }
    STD_TORCH_CHECK(window > 0, "swa: window must be positive, it is ", window);
    STD_TORCH_CHECK(cap > 0, "swa: cap must be positive, it is ", cap);
}

template <typename T>
static Head<T> head_of(const Tensor& q, const Tensor& k, const Tensor& v, int64_t window, double cap) {
    const int64_t n = q.size(2), d = q.size(3);
    const T scale = static_cast<T>(1 / std::sqrt(static_cast<double>(d)));
    const T *qs = q.const_data_ptr<T>(), *ks = k.const_data_ptr<T>(), *vs = v.const_data_ptr<T>();
    return {qs, ks, vs, n, d, std::min(window, n), scale, static_cast<T>(cap)};
}

// The same for head number h: heads follow each other in dense memory.
template <typename T>
static Head<T> shifted(Head<T> head, int64_t h) {
    const int64_t by = h * head.n * head.d;
    return {head.q + by, head.k + by, head.v + by, head.n, head.d, head.window, head.scale, head.cap};
}

template <typename T>
static void run_forward(const Head<T>& all, int64_t heads, T* out, T* lse) {
    const int64_t n = all.n, d = all.d;
    torch::stable::parallel_for(0, heads * n, 64, [=](int64_t begin, int64_t end) {
        std::vector<T> scores(all.window);
        for (int64_t row = begin; row < end; ++row) {
            lse[row] = attend(shifted(all, row / n), row % n, scores.data(), out + row * d);
        }
    });
}

template <typename T>
static void run_backward(
    const Head<T>& all, int64_t heads, const T* grad, const T* out, const T* lse, T* dq, T* dk, T* dv) {
    const int64_t n = all.n, d = all.d;
    // Queries of one head write to the same rows of dk and dv: heads are shared out, and not queries.
    torch::stable::parallel_for(0, heads, 1, [=](int64_t begin, int64_t end) {
        std::vector<T> squashed(all.window), p(all.window);
        for (int64_t h = begin; h < end; ++h) {
            const Head<T> head = shifted(all, h);
            for (int64_t i = 0; i < n; ++i) {
                const int64_t row = h * n + i, base = h * n * d;
                contribute(
                    head, i, grad + row * d, out + row * d, lse[row], squashed.data(), p.data(), dq + row * d,
                    dk + base, dv + base);
            }
        }
    });
}

static std::tuple<Tensor, Tensor> forward(
    const Tensor& query, const Tensor& key, const Tensor& value, int64_t window, double cap) {
    check(query, key, value, window, cap);
    const Tensor q = torch::stable::contiguous(query), k = torch::stable::contiguous(key),
                 v = torch::stable::contiguous(value);
    Tensor out = torch::stable::new_empty(q, q.sizes());
    Tensor lse = torch::stable::new_empty(q, {q.size(0), q.size(1), q.size(2)});
    const int64_t heads = q.size(0) * q.size(1);
    if (q.scalar_type() == ScalarType::Float) {
        run_forward(
            head_of<float>(q, k, v, window, cap), heads, out.mutable_data_ptr<float>(), lse.mutable_data_ptr<float>());
    } else {
        run_forward(
            head_of<double>(q, k, v, window, cap), heads, out.mutable_data_ptr<double>(),
            lse.mutable_data_ptr<double>());
    }
    return {out, lse};
}

template <typename T>
static void backward_of(
    const Head<T>& all, int64_t heads, const Tensor& grad, const Tensor& out, const Tensor& lse, Tensor& dq,
    Tensor& dk, Tensor& dv) {
    run_backward(
        all, heads, grad.const_data_ptr<T>(), out.const_data_ptr<T>(), lse.const_data_ptr<T>(),
        dq.mutable_data_ptr<T>(), dk.mutable_data_ptr<T>(), dv.mutable_data_ptr<T>());
}

static std::tuple<Tensor, Tensor, Tensor> backward(
    const Tensor& gradient, const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& output,
    const Tensor& lse, int64_t window, double cap) {
    check(query, key, value, window, cap);
    const Tensor q = torch::stable::contiguous(query), k = torch::stable::contiguous(key),
                 v = torch::stable::contiguous(value), out = torch::stable::contiguous(output),
                 sums = torch::stable::contiguous(lse);
    // @gap
    const Tensor grad = torch::stable::contiguous(gradient);
    //| const Tensor& grad = gradient;  // TODO: it may have any strides
    // @end
    Tensor dq = torch::stable::new_zeros(q, q.sizes()), dk = torch::stable::new_zeros(q, q.sizes()),
           dv = torch::stable::new_zeros(q, q.sizes());
    const int64_t heads = q.size(0) * q.size(1);
    if (q.scalar_type() == ScalarType::Float) {
        backward_of(head_of<float>(q, k, v, window, cap), heads, grad, out, sums, dq, dk, dv);
    } else {
        backward_of(head_of<double>(q, k, v, window, cap), heads, grad, out, sums, dq, dk, dv);
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
    m.impl("forward", TORCH_BOX(&forward));
    m.impl("backward", TORCH_BOX(&backward));
}
