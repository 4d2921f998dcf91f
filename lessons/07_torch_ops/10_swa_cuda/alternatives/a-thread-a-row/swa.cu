// A thread a row, no shared memory: two passes for the softmax, and the queries of a key one after the other.
#include "swa.h"

#include <cuda_runtime.h>

constexpr int THREADS = 128;
constexpr int WIDEST = 128;

struct Row {
    int64_t number;  // among all rows of all heads
    int64_t head;    // of the head's first row
    int at;          // in its head
    bool exists;
};

static __device__ Row my_row(const Attention &all) {
    const int64_t number = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
    const int64_t head = number / all.n * all.n;
    return {number, head, static_cast<int>(number - head), number < all.heads * all.n};
}

static __device__ float product(const float *a, const float *b, int d) {
    float sum = 0.0f;
    for (int c = 0; c < d; ++c) sum = fmaf(a[c], b[c], sum);
    return sum;
}

static __device__ float squashed(const Attention &all, int64_t query, int64_t key) {
    return tanhf(product(all.q + query * all.d, all.k + key * all.d, all.d) / sqrtf(all.d) / all.cap);
}

static __global__ void forward_kernel(Attention all, float *out, float *lse) {
    const Row row = my_row(all);
    if (!row.exists) return;
    const int first = row.at < all.window ? 0 : row.at - all.window + 1;
    float top = -INFINITY, sum = 0.0f, total[WIDEST] = {};
    for (int j = first; j <= row.at; ++j) top = fmaxf(top, all.cap * squashed(all, row.number, row.head + j));
    for (int j = first; j <= row.at; ++j) {
        const float p = expf(all.cap * squashed(all, row.number, row.head + j) - top);
        sum += p;
        for (int c = 0; c < all.d; ++c) total[c] += p * all.v[(row.head + j) * all.d + c];
    }
    for (int c = 0; c < all.d; ++c) out[row.number * all.d + c] = total[c] / sum;
    lse[row.number] = top + logf(sum);
}

static __global__ void query_kernel(Attention all, const float *grad, const float *out, const float *lse, float *mean,
                                    float *dq) {
    const Row row = my_row(all);
    if (!row.exists) return;
    const float *mine = grad + row.number * all.d;
    const float average = product(mine, out + row.number * all.d, all.d);
    float total[WIDEST] = {};
    for (int j = row.at; j >= 0 && row.at - j < all.window; --j) {
        const int64_t key = row.head + j;
        const float s = squashed(all, row.number, key);
        const float p = expf(all.cap * s - lse[row.number]);
        const float reached = p * (product(mine, all.v + key * all.d, all.d) - average) * (1.0f - s * s);
        for (int c = 0; c < all.d; ++c) total[c] += reached * all.k[key * all.d + c];
    }
    mean[row.number] = average;
    for (int c = 0; c < all.d; ++c) dq[row.number * all.d + c] = total[c] / sqrtf(all.d);
}

static __global__ void key_kernel(Attention all, const float *grad, const float *lse, const float *mean, float *dk,
                                  float *dv) {
    const Row row = my_row(all);
    if (!row.exists) return;
    float for_key[WIDEST] = {}, for_value[WIDEST] = {};
    for (int i = row.at; i < all.n && i - row.at < all.window; ++i) {
        const int64_t query = row.head + i;
        const float *theirs = grad + query * all.d;
        const float s = squashed(all, query, row.number);
        const float p = expf(all.cap * s - lse[query]);
        const float dp = product(theirs, all.v + row.number * all.d, all.d);
        const float reached = p * (dp - mean[query]) * (1.0f - s * s);
        for (int c = 0; c < all.d; ++c) {
            for_key[c] += reached * all.q[query * all.d + c];
            for_value[c] += p * theirs[c];
        }
    }
    for (int c = 0; c < all.d; ++c) {
        dk[row.number * all.d + c] = for_key[c] / sqrtf(all.d);
        dv[row.number * all.d + c] = for_value[c];
    }
}

static unsigned blocks_for(const Attention *all) {
    return (all->heads * all->n + THREADS - 1) / THREADS;
}

extern "C" cudaError_t swa_forward_launch(const Attention *all, float *out, float *lse, cudaStream_t stream) {
    if (all->heads * all->n == 0) return cudaSuccess;
    forward_kernel<<<blocks_for(all), THREADS, 0, stream>>>(*all, out, lse);
    return cudaGetLastError();
}

extern "C" cudaError_t swa_backward_launch(const Attention *all, const float *grad, const float *out, const float *lse,
                                           float *mean, float *dq, float *dk, float *dv, cudaStream_t stream) {
    if (all->heads * all->n == 0) return cudaSuccess;
    query_kernel<<<blocks_for(all), THREADS, 0, stream>>>(*all, grad, out, lse, mean, dq);
    if (const cudaError_t error = cudaGetLastError(); error != cudaSuccess) return error;
    key_kernel<<<blocks_for(all), THREADS, 0, stream>>>(*all, grad, lse, mean, dk, dv);
    return cudaGetLastError();
}
