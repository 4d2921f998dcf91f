// What swa.cu gives to the binding: plain C, so that the kernels need no PyTorch header and compile in seconds.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

// All heads of a call, in device memory: q, k and v are heads x n x d floats each, dense. 1 <= d <= 128,
// 1 <= window <= max(n, 1), n < 2^30. heads and n may be 0.
struct Attention {
    const float *q, *k, *v;
    int64_t heads;
    int n, d, window;
    float cap;
};

extern "C" {
// out: heads x n x d, lse: heads x n. Returns right after the launch: cudaSuccess, or why it failed.
// Nothing to do is a success.
cudaError_t swa_forward_launch(const Attention *all, float *out, float *lse, cudaStream_t stream);

// grad and out as out above. mean is room for heads x n numbers, their values are nobody's business afterwards.
// dq, dk, dv as q, k, v; they hold anything when this is called.
cudaError_t swa_backward_launch(const Attention *all, const float *grad, const float *out, const float *lse,
                                float *mean, float *dq, float *dk, float *dv, cudaStream_t stream);
}
