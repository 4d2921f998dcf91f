// Rotary position embeddings in place, on the GPU: one block of threads for each position of each sequence.
#include "rope.h"

#include <cuda_bf16.h>
#include <cuda_runtime.h>

constexpr int LANES = 32;  // neighbouring threads take neighbouring pairs of a head
constexpr int ROWS = 8;    // and this many heads are turned at the same time

// Turn the point (u, v). Both numbers are computed in float, whatever type they are stored in.
template <typename T>
__device__ void rotate_pair(T *u, T *v, float c, float s) {
    // @gap
    const float a = static_cast<float>(*u), b = static_cast<float>(*v);  // both are read before one is written
    *u = static_cast<T>(a * c - b * s);
    *v = static_cast<T>(b * c + a * s);
    //| // TODO: (u, v) becomes (u c - v s, v c + u s).
    // @end
}

// sign is 1, or -1 to turn back.
template <typename T>
__global__ void rotate_kernel(T *x, const T *cos, const T *sin, Heads shape, float sign) {
    const int64_t half = shape.dim / 2;
    // @gap
    const int64_t n = blockIdx.x % shape.positions;
    T *row = x + blockIdx.x / shape.positions * shape.by_batch + n * shape.by_position;
    for (int64_t d = threadIdx.x; d < half; d += LANES) {
        // All heads of a position share its angles: they are loaded once.
        const float c = static_cast<float>(cos[n * half + d]), s = sign * static_cast<float>(sin[n * half + d]);
        for (int64_t h = threadIdx.y; h < shape.heads; h += ROWS) {
            T *u = row + h * shape.by_head + d * shape.by_dim;
            rotate_pair(u, u + half * shape.by_dim, c, s);
        }
    }
    //| // TODO: which position of which sequence is this block's? Then stride over pairs and heads, by x's strides.
    // @end
}

template <typename T>
static cudaError_t launch(T *x, const T *cos, const T *sin, Heads shape, bool inverse, cudaStream_t stream) {
    // @gap
    const int64_t blocks = shape.batches * shape.positions;
    if (blocks * shape.heads * shape.dim == 0) return cudaSuccess;  // a grid of no blocks is an invalid launch
    const dim3 threads(LANES, ROWS);
    rotate_kernel<<<static_cast<unsigned>(blocks), threads, 0, stream>>>(x, cos, sin, shape, inverse ? -1.0f : 1.0f);
    return cudaGetLastError();  // a launch that fails says so here and nowhere else
    //| // TODO: one block for each position of each sequence, on `stream`; report what went wrong; nothing to do is fine.
    //| rotate_kernel<<<1, dim3(LANES, ROWS)>>>(x, cos, sin, shape, 1.0f);
    //| return cudaSuccess;
    // @end
}

extern "C" cudaError_t rotate_float32_launch(float *x, const float *cos, const float *sin, Heads shape, bool inverse,
                                             cudaStream_t stream) {
    return launch(x, cos, sin, shape, inverse, stream);
}

extern "C" cudaError_t rotate_bfloat16_launch(void *x, const void *cos, const void *sin, Heads shape, bool inverse,
                                              cudaStream_t stream) {
    using T = __nv_bfloat16;
    return launch(static_cast<T *>(x), static_cast<const T *>(cos), static_cast<const T *>(sin), shape, inverse,
                  stream);
}
