// What swiglu.cu gives to the binding: plain C, so that the kernels need no PyTorch header and compile in seconds.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

// Everything is dense device memory of `count` numbers; the float32 functions take float, the others __nv_bfloat16.
// They return right after the launch on `stream`: cudaSuccess, or why the launch failed. No numbers are a success.
extern "C" {
// out = silu(gate) * up.
cudaError_t swiglu_forward_float32(const void *gate, const void *up, void *out, int64_t count, cudaStream_t stream);
cudaError_t swiglu_forward_bfloat16(const void *gate, const void *up, void *out, int64_t count, cudaStream_t stream);

// The gradients of gate and up, from `grad`, that of out. A null pointer means: nobody needs this one.
cudaError_t swiglu_backward_float32(const void *grad, const void *gate, const void *up, void *grad_gate, void *grad_up,
                                    int64_t count, cudaStream_t stream);
cudaError_t swiglu_backward_bfloat16(const void *grad, const void *gate, const void *up, void *grad_gate, void *grad_up,
                                     int64_t count, cudaStream_t stream);
}
