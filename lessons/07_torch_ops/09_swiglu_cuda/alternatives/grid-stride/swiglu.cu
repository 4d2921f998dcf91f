// A fixed grid that strides over the numbers; one functor for each kernel, a backward that chooses at compile time.
#include "swiglu.h"

#include <cuda_bf16.h>
#include <cuda_runtime.h>

namespace {

struct Silu {
    float value, slope;
    __device__ explicit Silu(float x) {
        // The exponent is never positive: nothing overflows. NaN fails the comparison, and stays in both.
        const float e = __expf(-fabsf(x)), s = x >= 0.0f ? 1.0f / (1.0f + e) : e / (1.0f + e);
        value = x * s;
        slope = s + value * (1.0f - s);
    }
};

template <typename T>
struct Forward {
    const T *gate, *up;
    T *out;
    __device__ void operator()(int64_t i) const { out[i] = T(Silu(float(gate[i])).value * float(up[i])); }
};

template <typename T, bool WithGate, bool WithUp>
struct Backward {
    const T *grad, *gate, *up;
    T *grad_gate, *grad_up;
    __device__ void operator()(int64_t i) const {
        const float d = grad[i];
        const Silu silu(gate[i]);
        if constexpr (WithGate) grad_gate[i] = T(d * float(up[i]) * silu.slope);
        if constexpr (WithUp) grad_up[i] = T(d * silu.value);
    }
};

template <typename Each>
__global__ void for_each(Each each, int64_t count) {
    const int64_t step = int64_t{gridDim.x} * blockDim.x;
    for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) each(i);
}

template <typename Each>
cudaError_t run(const Each &each, int64_t count, cudaStream_t stream) {
    constexpr int64_t threads = 512, most = 4096;
    if (count <= 0) return cudaSuccess;
    const int64_t wanted = (count + threads - 1) / threads;
    for_each<<<static_cast<unsigned>(wanted < most ? wanted : most), threads, 0, stream>>>(each, count);
    return cudaGetLastError();
}

template <typename T>
cudaError_t backward(const void *grad, const void *gate, const void *up, void *grad_gate, void *grad_up, int64_t count,
                     cudaStream_t stream) {
    const auto d = static_cast<const T *>(grad), g = static_cast<const T *>(gate), u = static_cast<const T *>(up);
    const auto dg = static_cast<T *>(grad_gate), du = static_cast<T *>(grad_up);
    if (dg && du) return run(Backward<T, true, true>{d, g, u, dg, du}, count, stream);
    if (dg) return run(Backward<T, true, false>{d, g, u, dg, du}, count, stream);
    if (du) return run(Backward<T, false, true>{d, g, u, dg, du}, count, stream);
    return run(Backward<T, false, false>{d, g, u, dg, du}, count, stream);
}

template <typename T>
cudaError_t forward(const void *gate, const void *up, void *out, int64_t count, cudaStream_t stream) {
    return run(Forward<T>{static_cast<const T *>(gate), static_cast<const T *>(up), static_cast<T *>(out)}, count,
               stream);
}

}  // namespace

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
