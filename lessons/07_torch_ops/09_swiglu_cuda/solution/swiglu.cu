// Fused SwiGLU on the GPU: silu(gate) * up in one kernel, both gradients in another.
#include "swiglu.h"

#include <cuda_bf16.h>
#include <cuda_runtime.h>

constexpr int THREADS = 256;
constexpr int EACH = 4;  // numbers a thread: their loads are on the way at the same time
constexpr int64_t PER_BLOCK = THREADS * EACH;

// x[i] as float, 0 past the end.
template <typename T>
__device__ float load(const T *x, int64_t i, int64_t count) {
    return i < count ? static_cast<float>(x[i]) : 0.0f;
}

// 1 / (1 + e^-x), in float whatever the numbers are stored in.
__device__ float sigmoid(float x) {
    // @gap
    return 1.0f / (1.0f + expf(-x));  // e^-x may become infinite, and 1 / infinity is the right answer
    //| return 0.0f;  // TODO
    // @end
}

template <typename T>
__global__ void forward_kernel(const T *__restrict__ gate, const T *__restrict__ up, T *__restrict__ out,
                               int64_t count) {
    // @gap
    const int64_t first = blockIdx.x * PER_BLOCK + threadIdx.x;
    float g[EACH], u[EACH];
#pragma unroll
    for (int k = 0; k < EACH; ++k) {  // all loads first: in one loop with the stores each would wait its turn
        g[k] = load(gate, first + k * THREADS, count);
        u[k] = load(up, first + k * THREADS, count);
    }
#pragma unroll
    for (int k = 0; k < EACH; ++k) {
        const int64_t i = first + k * THREADS;
        if (i < count) out[i] = static_cast<T>(g[k] * sigmoid(g[k]) * u[k]);
    }
    //| // TODO: out = silu(gate) * up, where silu(g) = g * sigmoid(g). The last block has less to do.
    // @end
}

// A null pointer means: nobody needs this gradient.
template <typename T>
__global__ void backward_kernel(const T *__restrict__ grad, const T *__restrict__ gate, const T *__restrict__ up,
                                T *__restrict__ grad_gate, T *__restrict__ grad_up, int64_t count) {
    // @gap
    const int64_t first = blockIdx.x * PER_BLOCK + threadIdx.x;
    float d[EACH], g[EACH], u[EACH];
#pragma unroll
    for (int k = 0; k < EACH; ++k) {
        d[k] = load(grad, first + k * THREADS, count);
        g[k] = load(gate, first + k * THREADS, count);
        u[k] = grad_gate != nullptr ? load(up, first + k * THREADS, count) : 0.0f;
    }
#pragma unroll
    for (int k = 0; k < EACH; ++k) {
        const int64_t i = first + k * THREADS;
        if (i >= count) return;
        const float s = sigmoid(g[k]);
        // The same for all threads: no warp takes both ways.
        if (grad_gate != nullptr) grad_gate[i] = static_cast<T>(d[k] * u[k] * s * (1.0f + g[k] * (1.0f - s)));
        if (grad_up != nullptr) grad_up[i] = static_cast<T>(d[k] * g[k] * s);
    }
    //| // TODO: fill what is not null, both in one pass.
    // @end
}

template <typename T>
static cudaError_t launch_forward(const void *gate, const void *up, void *out, int64_t count, cudaStream_t stream) {
    // @gap
    if (count == 0) return cudaSuccess;  // a grid of no blocks is an invalid launch
    const auto blocks = static_cast<unsigned>((count + PER_BLOCK - 1) / PER_BLOCK);
    forward_kernel<<<blocks, THREADS, 0, stream>>>(static_cast<const T *>(gate), static_cast<const T *>(up),
                                                   static_cast<T *>(out), count);
    return cudaGetLastError();  // a launch that fails says so here and nowhere else
    //| // TODO: as many blocks as count needs, on `stream`; report what went wrong; count may be 0.
    //| forward_kernel<<<1, THREADS>>>(static_cast<const T *>(gate), static_cast<const T *>(up), static_cast<T *>(out),
    //|                                count);
    //| return cudaSuccess;
    // @end
}

template <typename T>
static cudaError_t launch_backward(const void *grad, const void *gate, const void *up, void *grad_gate, void *grad_up,
                                   int64_t count, cudaStream_t stream) {
    // @gap
    if (count == 0) return cudaSuccess;
    const auto blocks = static_cast<unsigned>((count + PER_BLOCK - 1) / PER_BLOCK);
    backward_kernel<<<blocks, THREADS, 0, stream>>>(static_cast<const T *>(grad), static_cast<const T *>(gate),
                                                    static_cast<const T *>(up), static_cast<T *>(grad_gate),
                                                    static_cast<T *>(grad_up), count);
    return cudaGetLastError();
    //| // TODO: the same for backward_kernel.
    //| return cudaSuccess;
    // @end
}

extern "C" cudaError_t swiglu_forward_float32(const void *gate, const void *up, void *out, int64_t count,
                                              cudaStream_t stream) {
    return launch_forward<float>(gate, up, out, count, stream);
}

extern "C" cudaError_t swiglu_forward_bfloat16(const void *gate, const void *up, void *out, int64_t count,
                                               cudaStream_t stream) {
    return launch_forward<__nv_bfloat16>(gate, up, out, count, stream);
}

extern "C" cudaError_t swiglu_backward_float32(const void *grad, const void *gate, const void *up, void *grad_gate,
                                               void *grad_up, int64_t count, cudaStream_t stream) {
    return launch_backward<float>(grad, gate, up, grad_gate, grad_up, count, stream);
}

extern "C" cudaError_t swiglu_backward_bfloat16(const void *grad, const void *gate, const void *up, void *grad_gate,
                                                void *grad_up, int64_t count, cudaStream_t stream) {
    return launch_backward<__nv_bfloat16>(grad, gate, up, grad_gate, grad_up, count, stream);
}
