// Given, and nothing to change: kernels to be measured, RMS norm over the rows of a dense float matrix. The checks that
// run on a GPU take them; two of them are honest.
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

constexpr int THREADS = 256;
constexpr float EPSILON = 1e-6f;

// The sum over the block of one value a thread; every thread gets it.
template <class Number>
__device__ Number block_sum(Number value) {
    __shared__ Number partial[THREADS];
    partial[threadIdx.x] = value;
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) partial[threadIdx.x] = partial[threadIdx.x] + partial[threadIdx.x + half];
    }
    __syncthreads();
    return partial[0];
}

// Honest: a block a row. Number is what the squares are added up in: float, or half, which is a cheat.
template <class Number>
__global__ void block_a_row(const float *x, float *out, int64_t cols) {
    x += blockIdx.x * cols;
    out += blockIdx.x * cols;
    Number sum = Number(0.0f);
    for (int64_t i = threadIdx.x; i < cols; i += THREADS) sum = sum + Number(x[i] * x[i]);
    const float scale = rsqrtf(float(block_sum(sum)) / cols + EPSILON);
    for (int64_t i = threadIdx.x; i < cols; i += THREADS) out[i] = x[i] * scale;
}

// Honest and slow: a thread a row, so that neighbouring threads read addresses that are a row apart.
__global__ void thread_a_row(const float *x, float *out, int64_t rows, int64_t cols) {
    const int64_t row = int64_t{blockIdx.x} * THREADS + threadIdx.x;
    if (row >= rows) return;
    x += row * cols;
    out += row * cols;
    float sum = 0.0f;
    for (int64_t i = 0; i < cols; ++i) sum += x[i] * x[i];
    const float scale = rsqrtf(sum / cols + EPSILON);
    for (int64_t i = 0; i < cols; ++i) out[i] = x[i] * scale;
}

enum Kind { FUSED, SLOW, HALF, PART };

// out = x / sqrt(mean(x * x) + epsilon), row by row, on `stream`. HALF adds up in half precision; PART leaves the last
// eighth of the rows as it was. Returns what the launch said.
extern "C" cudaError_t rms_norm(int kind, const float *x, float *out, int64_t rows, int64_t cols, cudaStream_t stream) {
    const unsigned all = static_cast<unsigned>(rows), groups = (all + THREADS - 1) / THREADS;
    if (kind == FUSED) block_a_row<float><<<all, THREADS, 0, stream>>>(x, out, cols);
    if (kind == SLOW) thread_a_row<<<groups, THREADS, 0, stream>>>(x, out, rows, cols);
    if (kind == HALF) block_a_row<__half><<<all, THREADS, 0, stream>>>(x, out, cols);
    if (kind == PART) block_a_row<float><<<all - all / 8, THREADS, 0, stream>>>(x, out, cols);
    return cudaGetLastError();
}
