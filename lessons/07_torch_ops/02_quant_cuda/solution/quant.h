// What quant.cu gives to the binding: plain C, so that the kernel needs no PyTorch header and compiles in a second.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

extern "C" {
// Quantise `rows` x `cols` floats (row-major, device memory) to int8 with one scale a row, on `stream`.
// Returns right after the launch: cudaSuccess, or why the launch failed. Nothing to do is a success.
cudaError_t quantize_rows_launch(
    const float* x, int8_t* q, float* scale, int64_t rows, int64_t cols, cudaStream_t stream);
}
