// The bits of floats that are not negative sort like integers, so an integer's atomicMax finds the largest.
#include "quant.h"

#include <cuda_runtime.h>

constexpr int THREADS = 512;

__device__ float block_max(float value) {
    __shared__ int bits;
    if (threadIdx.x == 0) bits = 0;
    __syncthreads();
    const int largest = __reduce_max_sync(0xffffffffu, __float_as_int(value));  // of the warp
    if (threadIdx.x % 32 == 0) atomicMax(&bits, largest);
    __syncthreads();
    return __int_as_float(bits);
}

__global__ void quantize_rows_kernel(const float *x, int8_t *q, float *scale, int64_t cols) {
    const float *from = x + blockIdx.x * cols;
    int8_t *to = q + blockIdx.x * cols;
    float top = 0.0f;
    for (int64_t i = threadIdx.x; i < cols; i += THREADS) top = fmaxf(top, fabsf(from[i]));
    top = block_max(top);
    const float s = top > 0.0f ? top / 127.0f : 1.0f;
    if (threadIdx.x == THREADS - 1) scale[blockIdx.x] = s;
    for (int64_t i = threadIdx.x; i < cols; i += THREADS) to[i] = static_cast<int8_t>(nearbyintf(from[i] / s));
}

extern "C" cudaError_t quantize_rows_launch(const float *x, int8_t *q, float *scale, int64_t rows, int64_t cols,
                                            cudaStream_t stream) {
    if (rows == 0) return cudaSuccess;
    void *arguments[] = {&x, &q, &scale, &cols};
    return cudaLaunchKernel(reinterpret_cast<const void *>(quantize_rows_kernel), dim3(static_cast<unsigned>(rows)),
                            dim3(THREADS), arguments, 0, stream);
}
