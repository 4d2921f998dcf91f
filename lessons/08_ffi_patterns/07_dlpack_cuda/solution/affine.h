// What affine.cu gives to dl.cpp. Plain C++, no Python and no framework: it compiles in a second.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

constexpr int MAX_DIMS = 8;

// Elements of device memory: which they are, nothing about who owns them. Passed to a kernel by value.
struct View {
    float *first;   // the element [0, 0, ...]
    int64_t count;  // how many there are: the product of the sizes, 1 where there is no dimension
    int ndim;       // up to MAX_DIMS
    int64_t shape[MAX_DIMS];
    int64_t strides[MAX_DIMS];  // distances in elements; may be negative
};

// x = scale * x + shift for each element, in place, on `stream` of the current device. Where scale is 0, x isn't read,
// as BLAS does with beta: memory that was never filled may hold NaN. Returns right after the launch: cudaSuccess, or
// why the launch failed. Nothing to do is a success.
extern "C" cudaError_t affine_launch(const View *view, float scale, float shift, cudaStream_t stream);
