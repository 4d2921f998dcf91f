// What rope.cu gives to the binding: plain C, so that the kernel needs no PyTorch header and compiles in seconds.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

// Where the numbers of x lie: sizes, and the strides of each dimension, counted in elements.
struct Heads {
    int64_t batches, positions, heads, dim;
    int64_t by_batch, by_position, by_head, by_dim;
};

extern "C" {
// Turn the pairs of x in place, on `stream`. x, cos and sin are device memory; the tables are dense (positions, dim / 2).
// inverse: by the negative angles. Returns right after the launch: cudaSuccess, or why the launch failed.
// Nothing to do is a success.
cudaError_t rotate_float32_launch(float *x, const float *cos, const float *sin, Heads shape, bool inverse,
                                  cudaStream_t stream);

// The same for bfloat16.
cudaError_t rotate_bfloat16_launch(void *x, const void *cos, const void *sin, Heads shape, bool inverse,
                                   cudaStream_t stream);
}
