// The plain way: a tree in shared memory, no warp shuffles; the scale goes to all threads through shared memory.
#include "quant.h"

#include <cuda_runtime.h>

constexpr int THREADS = 256;

__device__ float block_max(float value) {
    __shared__ float row[THREADS];
    row[threadIdx.x] = value;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) row[threadIdx.x] = fmaxf(row[threadIdx.x], row[threadIdx.x + half]);
        __syncthreads();  // also the last time: row[0] is read by all
    }
    return row[0];
}

__global__ void quantize_rows_kernel(const float *x, int8_t *q, float *scale, int64_t cols) {
    const int64_t start = static_cast<int64_t>(blockIdx.x) * cols;
    float largest = 0.0f;
    for (int64_t column = threadIdx.x; column < cols; column += blockDim.x) {
        largest = fmaxf(largest, fabsf(x[start + column]));
    }
    largest = block_max(largest);
    const float s = largest == 0.0f ? 1.0f : largest / 127.0f;
    if (threadIdx.x == 0) scale[blockIdx.x] = s;
    for (int64_t column = threadIdx.x; column < cols; column += blockDim.x) {
        q[start + column] = static_cast<int8_t>(rintf(x[start + column] / s));
    }
}

extern "C" cudaError_t quantize_rows_launch(const float *x, int8_t *q, float *scale, int64_t rows, int64_t cols,
                                            cudaStream_t stream) {
    cudaError_t error = cudaSuccess;
    if (rows > 0) {
        const dim3 grid(static_cast<unsigned>(rows));
        quantize_rows_kernel<<<grid, THREADS, 0, stream>>>(x, q, scale, cols);
        error = cudaGetLastError();
    }
    return error;
}
