// Sixteen bytes a thread at a time where the pointers allow it, the rest one by one.
#include "swiglu.h"

#include <cuda_bf16.h>
#include <cuda_runtime.h>

template <typename T>
struct alignas(16) Pack {
    static constexpr int size = 16 / sizeof(T);
    T value[size];
};

__device__ static float logistic(float x) {
    return __frcp_rn(1.0f + expf(-x));
}

template <typename T>
__device__ static T silu_times(T gate, T up) {
    const float g = gate;
    return T(g * logistic(g) * float(up));
}

template <typename T>
__device__ static void slopes(T grad, T gate, T up, T *to_gate, T *to_up) {
    const float d = grad, g = gate, s = logistic(g);
    *to_gate = T(d * float(up) * (s + g * s * (1.0f - s)));
    *to_up = T(d * (g * s));
}

template <typename T>
__global__ void silu_product(const T *gate, const T *up, T *out, int64_t packs, int64_t count) {
    const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
    if (i < packs) {
        const auto g = reinterpret_cast<const Pack<T> *>(gate)[i], u = reinterpret_cast<const Pack<T> *>(up)[i];
        Pack<T> result;
        for (int k = 0; k < Pack<T>::size; ++k) result.value[k] = silu_times(g.value[k], u.value[k]);
        reinterpret_cast<Pack<T> *>(out)[i] = result;
    }
    const int64_t rest = packs * Pack<T>::size + i;
    if (rest < count) out[rest] = silu_times(gate[rest], up[rest]);
}

template <typename T>
__global__ void silu_gradients(const T *grad, const T *gate, const T *up, T *to_gate, T *to_up, int64_t packs,
                               int64_t count) {
    const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
    if (i < packs) {
        const auto d = reinterpret_cast<const Pack<T> *>(grad)[i], g = reinterpret_cast<const Pack<T> *>(gate)[i];
        const auto u = reinterpret_cast<const Pack<T> *>(up)[i];
        Pack<T> a, b;
        for (int k = 0; k < Pack<T>::size; ++k) slopes(d.value[k], g.value[k], u.value[k], &a.value[k], &b.value[k]);
        if (to_gate) reinterpret_cast<Pack<T> *>(to_gate)[i] = a;
        if (to_up) reinterpret_cast<Pack<T> *>(to_up)[i] = b;
    }
    const int64_t rest = packs * Pack<T>::size + i;
    if (rest < count) {
        T a, b;
        slopes(grad[rest], gate[rest], up[rest], &a, &b);
        if (to_gate) to_gate[rest] = a;
        if (to_up) to_up[rest] = b;
    }
}

// How many packs there are; none when a pointer is not a multiple of 16 bytes, as that of a view may be.
template <typename T, typename... Pointers>
static int64_t packs_of(int64_t count, Pointers... pointers) {
    const bool aligned = ((reinterpret_cast<uintptr_t>(pointers) % 16 == 0) && ...);
    return aligned ? count / Pack<T>::size : 0;
}

// Threads for the packs, and for the numbers that are left: whichever is more.
static unsigned blocks_for(int64_t packs, int64_t rest) {
    return static_cast<unsigned>(((packs > rest ? packs : rest) + 127) / 128);
}

template <typename T>
static cudaError_t forward(const void *gate, const void *up, void *out, int64_t count, cudaStream_t stream) {
    if (count == 0) return cudaSuccess;
    const int64_t packs = packs_of<T>(count, gate, up, out);
    silu_product<T><<<blocks_for(packs, count - packs * Pack<T>::size), 128, 0, stream>>>(
        static_cast<const T *>(gate), static_cast<const T *>(up), static_cast<T *>(out), packs, count);
    return cudaGetLastError();
}

template <typename T>
static cudaError_t backward(const void *grad, const void *gate, const void *up, void *to_gate, void *to_up,
                            int64_t count, cudaStream_t stream) {
    if (count == 0) return cudaSuccess;
    const int64_t packs = packs_of<T>(count, grad, gate, up, to_gate, to_up);
    silu_gradients<T><<<blocks_for(packs, count - packs * Pack<T>::size), 128, 0, stream>>>(
        static_cast<const T *>(grad), static_cast<const T *>(gate), static_cast<const T *>(up),
        static_cast<T *>(to_gate), static_cast<T *>(to_up), packs, count);
    return cudaGetLastError();
}

extern "C" {
cudaError_t swiglu_forward_float32(const void *gate, const void *up, void *out, int64_t count, cudaStream_t stream) {
    return forward<float>(gate, up, out, count, stream);
}

cudaError_t swiglu_forward_bfloat16(const void *gate, const void *up, void *out, int64_t count, cudaStream_t stream) {
    return forward<__nv_bfloat16>(gate, up, out, count, stream);
}

cudaError_t swiglu_backward_float32(const void *grad, const void *gate, const void *up, void *grad_gate, void *grad_up,
                                    int64_t count, cudaStream_t stream) {
    return backward<float>(grad, gate, up, grad_gate, grad_up, count, stream);
}

cudaError_t swiglu_backward_bfloat16(const void *grad, const void *gate, const void *up, void *grad_gate, void *grad_up,
                                     int64_t count, cudaStream_t stream) {
    return backward<__nv_bfloat16>(grad, gate, up, grad_gate, grad_up, count, stream);
}
}
