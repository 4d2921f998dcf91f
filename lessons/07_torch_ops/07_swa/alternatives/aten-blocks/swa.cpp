// Blocks of 64 queries through the operators of ATen: matrix products, a mask and a softmax on what a block sees.
#include <ATen/ATen.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <tuple>

static const int64_t BLOCK = 64;

static void check(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, int64_t window, double cap) {
    TORCH_CHECK_VALUE(q.dim() == 4, "q must be (batch, heads, positions, dim)");
    TORCH_CHECK_VALUE(k.sizes() == q.sizes() && v.sizes() == q.sizes(), "q, k and v must have one shape");
    TORCH_CHECK_TYPE(k.dtype() == q.dtype() && v.dtype() == q.dtype(), "q, k and v must have one dtype");
    TORCH_CHECK_TYPE(q.dtype() == at::kFloat || q.dtype() == at::kDouble, "float32 or float64, not ", q.dtype());
    TORCH_CHECK_VALUE(window > 0, "window must be positive");
    TORCH_CHECK_VALUE(cap > 0, "cap must be positive");
}

// The queries [begin, end) and the keys that any of them sees.
struct Block {
    int64_t begin, end, first;

    Block(int64_t at, int64_t positions, int64_t window)
        : begin(at), end(std::min(at + BLOCK, positions)), first(at < window ? 0 : at - window + 1) {}

    at::Tensor queries(const at::Tensor &t) const { return t.slice(2, begin, end); }
    at::Tensor keys(const at::Tensor &t) const { return t.slice(2, first, end); }
    at::Tensor hidden(const at::Tensor &like, int64_t window) const {
        const at::Tensor i = at::arange(begin, end, like.options().dtype(at::kLong)).unsqueeze(1);
        const at::Tensor j = at::arange(first, end, like.options().dtype(at::kLong)).unsqueeze(0);
        return j.gt(i).logical_or_(i.sub(j).ge(window));
    }
};

static at::Tensor bent(const Block &block, const at::Tensor &q, const at::Tensor &k, double cap) {
    const double scale = 1 / std::sqrt(static_cast<double>(q.size(3)));
    return at::matmul(block.queries(q), block.keys(k).transpose(2, 3)).mul_(scale / cap).tanh_();
}

static std::tuple<at::Tensor, at::Tensor> forward(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v,
                                                  int64_t window, double cap) {
    check(q, k, v, window, cap);
    at::Tensor out = at::empty(q.sizes(), q.options());
    at::Tensor lse = at::empty(q.sizes().slice(0, 3), q.options());
    for (int64_t at = 0; at < q.size(2); at += BLOCK) {
        const Block block(at, q.size(2), window);
        at::Tensor scores = bent(block, q, k, cap).mul_(cap);
        scores.masked_fill_(block.hidden(q, window), -INFINITY);
        const at::Tensor sums = at::logsumexp(scores, -1);
        block.queries(lse).copy_(sums);
        block.queries(out).copy_(at::matmul(at::softmax(scores, -1), block.keys(v)));
    }
    return {out, lse};
}

static std::tuple<at::Tensor, at::Tensor, at::Tensor> backward(const at::Tensor &grad, const at::Tensor &q,
                                                               const at::Tensor &k, const at::Tensor &v,
                                                               const at::Tensor &out, const at::Tensor &lse,
                                                               int64_t window, double cap) {
    check(q, k, v, window, cap);
    const double scale = 1 / std::sqrt(static_cast<double>(q.size(3)));
    at::Tensor dq = at::zeros(q.sizes(), q.options()), dk = at::zeros_like(dq), dv = at::zeros_like(dq);
    for (int64_t at = 0; at < q.size(2); at += BLOCK) {
        const Block block(at, q.size(2), window);
        const at::Tensor t = bent(block, q, k, cap), g = block.queries(grad);
        at::Tensor p = t.mul(cap).sub_(block.queries(lse).unsqueeze(-1)).exp_();
        p.masked_fill_(block.hidden(q, window), 0);
        const at::Tensor mean = g.mul(block.queries(out)).sum(-1, true);
        const at::Tensor dp = at::matmul(g, block.keys(v).transpose(2, 3));
        const at::Tensor dx = dp.sub(mean).mul_(p).mul_(t.square().neg_().add_(1)).mul_(scale);
        block.keys(dv).add_(at::matmul(p.transpose(2, 3), g));
        block.queries(dq).copy_(at::matmul(dx, block.keys(k)));
        block.keys(dk).add_(at::matmul(dx.transpose(2, 3), block.queries(q)));
    }
    return {dq, dk, dv};
}

TORCH_LIBRARY(swa, m) {
    m.def("forward(Tensor q, Tensor k, Tensor v, int window, float cap) -> (Tensor out, Tensor lse)");
    m.def(
        "backward(Tensor grad, Tensor q, Tensor k, Tensor v, Tensor out, Tensor lse, int window, float cap)"
        " -> (Tensor, Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(swa, CPU, m) {
    m.impl("forward", forward);
    m.impl("backward", backward);
}
