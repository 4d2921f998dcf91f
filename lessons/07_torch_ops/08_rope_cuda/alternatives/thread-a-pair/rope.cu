// One thread for each pair of numbers, in a loop over a grid that has no more blocks than the GPU can hold many times.
#include "rope.h"

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <algorithm>

namespace {

__device__ float wide(float value) {
    return value;
}
__device__ float wide(__nv_bfloat16 value) {
    return __bfloat162float(value);
}
__device__ void store(float *to, float value) {
    *to = value;
}
__device__ void store(__nv_bfloat16 *to, float value) {
    *to = __float2bfloat16_rn(value);
}

template <typename T>
__global__ void turn_pairs(T *x, const T *__restrict__ cos, const T *__restrict__ sin, Heads at, bool inverse) {
    const int64_t half = at.dim / 2, pairs = at.batches * at.positions * at.heads * half;
    const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
    for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < pairs; i += step) {
        const int64_t d = i % half, h = i / half % at.heads, token = i / half / at.heads;
        const int64_t n = token % at.positions, b = token / at.positions;
        const int64_t first = b * at.by_batch + n * at.by_position + h * at.by_head + d * at.by_dim;
        const int64_t second = first + half * at.by_dim;
        const float u = wide(x[first]), v = wide(x[second]);
        const float c = wide(cos[n * half + d]);
        const float s = inverse ? -wide(sin[n * half + d]) : wide(sin[n * half + d]);
        store(x + first, fmaf(u, c, -(v * s)));
        store(x + second, fmaf(v, c, u * s));
    }
}

template <typename T>
cudaError_t launch(T *x, const T *cos, const T *sin, Heads at, bool inverse, cudaStream_t stream) {
    constexpr int64_t threads = 256, most = 132 * 64;
    const int64_t pairs = at.batches * at.positions * at.heads * (at.dim / 2);
    if (pairs == 0) return cudaSuccess;
    const int64_t blocks = std::min((pairs + threads - 1) / threads, most);
    turn_pairs<T>
        <<<static_cast<unsigned>(blocks), static_cast<unsigned>(threads), 0, stream>>>(x, cos, sin, at, inverse);
    return cudaGetLastError();
}

}  // namespace

extern "C" cudaError_t rotate_float32_launch(float *x, const float *cos, const float *sin, Heads shape, bool inverse,
                                             cudaStream_t stream) {
    return launch<float>(x, cos, sin, shape, inverse, stream);
}

extern "C" cudaError_t rotate_bfloat16_launch(void *x, const void *cos, const void *sin, Heads shape, bool inverse,
                                              cudaStream_t stream) {
    return launch<__nv_bfloat16>(static_cast<__nv_bfloat16 *>(x), static_cast<const __nv_bfloat16 *>(cos),
                                 static_cast<const __nv_bfloat16 *>(sin), shape, inverse, stream);
}
