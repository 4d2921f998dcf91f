// A warp a query, one key a step: lanes share the dims of a row, rows stay in registers, dk and dv grow by atomics.
#include "swa.h"

#include <cuda_runtime.h>

constexpr int LANES = 32;
constexpr int PARTS = 128 / LANES;  // of a row, in one lane
constexpr int WARPS = 4;

struct Part {
    float at[PARTS];
};

static __device__ Part read(const float *row, int d) {
    Part part = {};
    for (int r = 0; r < PARTS; ++r) {
        const int c = r * LANES + static_cast<int>(threadIdx.x) % LANES;
        if (c < d) part.at[r] = row[c];
    }
    return part;
}

static __device__ void write(float *row, int d, const Part &part, float factor) {
    for (int r = 0; r < PARTS; ++r) {
        const int c = r * LANES + static_cast<int>(threadIdx.x) % LANES;
        if (c < d) row[c] = part.at[r] * factor;
    }
}

static __device__ void add(float *row, int d, const Part &part, float factor) {
    for (int r = 0; r < PARTS; ++r) {
        const int c = r * LANES + static_cast<int>(threadIdx.x) % LANES;
        if (c < d) atomicAdd(row + c, part.at[r] * factor);
    }
}

// In every lane.
static __device__ float inner(const Part &a, const Part &b) {
    float sum = 0.0f;
    for (int r = 0; r < PARTS; ++r) sum += a.at[r] * b.at[r];
    for (int offset = 1; offset < LANES; offset *= 2) sum += __shfl_xor_sync(0xffffffffu, sum, offset);
    return sum;
}

static __device__ int64_t my_query() {
    return static_cast<int64_t>(blockIdx.x) * WARPS + threadIdx.x / LANES;
}

static __global__ void forward_kernel(Attention all, float *out, float *lse) {
    const int64_t row = my_query();
    if (row >= all.heads * all.n) return;  // the whole warp
    const int64_t head = row / all.n * all.n, oldest = row - all.window + 1;
    const int d = all.d;
    const Part q = read(all.q + row * d, d);
    float top = -INFINITY, sum = 0.0f;
    Part total = {};
    for (int64_t key = oldest > head ? oldest : head; key <= row; ++key) {
        const float score = all.cap * tanhf(inner(q, read(all.k + key * d, d)) * rsqrtf(d) / all.cap);
        const float higher = fmaxf(top, score), keep = expf(top - higher), p = expf(score - higher);
        const Part v = read(all.v + key * d, d);
        for (int r = 0; r < PARTS; ++r) total.at[r] = total.at[r] * keep + p * v.at[r];
        sum = sum * keep + p;
        top = higher;
    }
    write(out + row * d, d, total, 1.0f / sum);
    if (threadIdx.x % LANES == 0) lse[row] = logf(sum) + top;
}

static __global__ void backward_kernel(Attention all, const float *grad, const float *out, const float *lse, float *dq,
                                       float *dk, float *dv) {
    const int64_t row = my_query();
    if (row >= all.heads * all.n) return;
    const int64_t head = row / all.n * all.n, oldest = row - all.window + 1;
    const int d = all.d;
    const Part q = read(all.q + row * d, d), g = read(grad + row * d, d);
    const float mean = inner(g, read(out + row * d, d)), scale = rsqrtf(d);
    Part total = {};
    for (int64_t key = oldest > head ? oldest : head; key <= row; ++key) {
        const Part k = read(all.k + key * d, d);
        const float s = tanhf(inner(q, k) * scale / all.cap), p = expf(all.cap * s - lse[row]);
        const float reached = p * (inner(g, read(all.v + key * d, d)) - mean) * (1.0f - s * s) * scale;
        for (int r = 0; r < PARTS; ++r) total.at[r] += reached * k.at[r];
        add(dk + key * d, d, q, reached);
        add(dv + key * d, d, g, p);
    }
    write(dq + row * d, d, total, 1.0f);
}

static unsigned blocks_for(const Attention *all) {
    return (all->heads * all->n + WARPS - 1) / WARPS;
}

extern "C" cudaError_t swa_forward_launch(const Attention *all, float *out, float *lse, cudaStream_t stream) {
    if (all->heads == 0 || all->n == 0) return cudaSuccess;
    forward_kernel<<<blocks_for(all), WARPS * LANES, 0, stream>>>(*all, out, lse);
    return cudaGetLastError();
}

extern "C" cudaError_t swa_backward_launch(const Attention *all, const float *grad, const float *out, const float *lse,
                                           float *mean, float *dq, float *dk, float *dv, cudaStream_t stream) {
    if (all->heads == 0 || all->n == 0) return cudaSuccess;
    const size_t bytes = all->heads * all->n * all->d * sizeof(float);
    for (float *sums : {dk, dv}) {
        const cudaError_t error = cudaMemsetAsync(sums, 0, bytes, stream);
        if (error != cudaSuccess) return error;
    }
    backward_kernel<<<blocks_for(all), WARPS * LANES, 0, stream>>>(*all, grad, out, lse, dq, dk, dv);
    return cudaGetLastError();
}
