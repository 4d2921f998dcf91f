// Per-channel int8 quantisation on the GPU: one block of threads a row.
#include "quant.h"

#include <cuda_runtime.h>

constexpr int THREADS = 256;
constexpr int WARP = 32;
constexpr unsigned FULL_WARP = 0xffffffffu;

// The largest value among the threads of a block; every thread gets it.
__device__ float block_max(float value) {
    __shared__ float partial[THREADS / WARP];
    // @gap
    for (int offset = WARP / 2; offset > 0; offset /= 2) {
        value = fmaxf(value, __shfl_xor_sync(FULL_WARP, value, offset));
    }
    if (threadIdx.x % WARP == 0) partial[threadIdx.x / WARP] = value;
    __syncthreads();  // all partial maxima are written before anyone reads them
    value = partial[0];
    for (int i = 1; i < THREADS / WARP; ++i) value = fmaxf(value, partial[i]);
    return value;
    //| // TODO: the maximum in a warp by __shfl_xor_sync, then of the warps through `partial` and a __syncthreads().
    //| partial[0] = value;
    //| return partial[0];
    // @end
}

__global__ void quantize_rows_kernel(const float* x, int8_t* q, float* scale, int64_t cols) {
    const int64_t row = blockIdx.x;
    x += row * cols;
    q += row * cols;
    // @gap
    float top = 0.0f;
    for (int64_t i = threadIdx.x; i < cols; i += THREADS) top = fmaxf(top, fabsf(x[i]));
    top = block_max(top);
    const float s = top > 0.0f ? top / 127.0f : 1.0f;
    if (threadIdx.x == 0) scale[row] = s;
    for (int64_t i = threadIdx.x; i < cols; i += THREADS) {
        q[i] = static_cast<int8_t>(__float2int_rn(x[i] / s));  // rn: to nearest, ties to even
    }
    //| // TODO: threads stride over the columns: the maximum, the scale, then the values, ties to even.
    //| if (threadIdx.x == 0) scale[row] = 1.0f;
    // @end
}

extern "C" cudaError_t quantize_rows_launch(
    const float* x, int8_t* q, float* scale, int64_t rows, int64_t cols, cudaStream_t stream) {
    // @gap
    if (rows == 0) return cudaSuccess;  // a grid of no blocks is an invalid launch
    quantize_rows_kernel<<<static_cast<unsigned>(rows), THREADS, 0, stream>>>(x, q, scale, cols);
    return cudaGetLastError();  // a launch that fails says so here and nowhere else
    //| // TODO: launch one block a row on `stream`; report what went wrong; rows may be 0.
    //| quantize_rows_kernel<<<1, THREADS>>>(x, q, scale, cols);
    //| return cudaSuccess;
    // @end
}
