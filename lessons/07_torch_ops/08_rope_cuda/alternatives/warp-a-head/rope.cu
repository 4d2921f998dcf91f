// One warp for each head of each token; a launch by the runtime's function in place of the three brackets.
#include "rope.h"

#include <cuda_bf16.h>
#include <cuda_runtime.h>

static constexpr int WARP = 32;
static constexpr int WARPS = 4;

template <typename T>
__global__ void turn_heads(T *x, const T *cos, const T *sin, Heads shape, float sign, int64_t tasks) {
    const int lane = threadIdx.x % WARP;
    const int64_t task = static_cast<int64_t>(blockIdx.x) * WARPS + threadIdx.x / WARP;
    if (task >= tasks) return;
    const int64_t h = task % shape.heads, n = task / shape.heads % shape.positions;
    const int64_t b = task / shape.heads / shape.positions, half = shape.dim / 2;
    T *head = x + b * shape.by_batch + n * shape.by_position + h * shape.by_head;
    cos += n * half;
    sin += n * half;
    for (int64_t d = lane; d < half; d += WARP) {
        T &first = head[d * shape.by_dim], &second = head[(d + half) * shape.by_dim];
        const float u = first, v = second, c = cos[d], s = sign * float(sin[d]);
        first = T(u * c - v * s);
        second = T(u * s + v * c);
    }
}

template <typename T>
static cudaError_t turn(T *x, const T *cos, const T *sin, Heads shape, bool inverse, cudaStream_t stream) {
    int64_t tasks = shape.batches * shape.positions * shape.heads;
    if (tasks == 0 || shape.dim == 0) return cudaSuccess;
    if (tasks > (int64_t{1} << 32)) return cudaErrorInvalidConfiguration;
    float sign = inverse ? -1.0f : 1.0f;
    void *arguments[] = {&x, &cos, &sin, &shape, &sign, &tasks};
    const dim3 blocks(static_cast<unsigned>((tasks + WARPS - 1) / WARPS)), threads(WARP * WARPS);
    return cudaLaunchKernel(reinterpret_cast<const void *>(&turn_heads<T>), blocks, threads, arguments, 0, stream);
}

extern "C" cudaError_t rotate_float32_launch(float *x, const float *cos, const float *sin, Heads shape, bool inverse,
                                             cudaStream_t stream) {
    return turn(x, cos, sin, shape, inverse, stream);
}

extern "C" cudaError_t rotate_bfloat16_launch(void *x, const void *cos, const void *sin, Heads shape, bool inverse,
                                              cudaStream_t stream) {
    using Number = __nv_bfloat16;
    return turn(static_cast<Number *>(x), static_cast<const Number *>(cos), static_cast<const Number *>(sin), shape,
                inverse, stream);
}
