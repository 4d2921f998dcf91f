// x = scale * x + shift on memory of any strides, in place.
#include "affine.h"

#include <cuda_runtime.h>

constexpr int THREADS = 256;
constexpr int64_t MAX_BLOCKS = 4096;  // enough to fill any GPU; each thread takes several elements of a large tensor

// Where element number `index` lies, counted in row-major order.
__device__ float *element(const View &view, int64_t index) {
    // @gap
    float *at = view.first;
    for (int dim = view.ndim - 1; dim > 0; --dim) {
        at += index % view.shape[dim] * view.strides[dim];
        index /= view.shape[dim];
    }
    if (view.ndim > 0) at += index * view.strides[0];  // what is left: dense memory of one dimension needs no division
    return at;
    //| // TODO: the last dimension counts fastest. index % size is its place there, index / size what is left.
    //| return view.first;
    // @end
}

__global__ void affine_kernel(View view, float scale, float shift) {
    // @gap
    const int64_t step = static_cast<int64_t>(gridDim.x) * THREADS;
    for (int64_t i = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x; i < view.count; i += step) {
        float *at = element(view, i);
        *at = scale == 0.0f ? shift : scale * *at + shift;  // 0 * NaN is NaN
    }
    //| // TODO: threads stride over the elements.
    // @end
}

extern "C" cudaError_t affine_launch(const View *view, float scale, float shift, cudaStream_t stream) {
    // @gap
    if (view->count == 0) return cudaSuccess;  // a grid of no blocks is an invalid launch
    const int64_t blocks = (view->count + THREADS - 1) / THREADS;
    affine_kernel<<<static_cast<unsigned>(blocks < MAX_BLOCKS ? blocks : MAX_BLOCKS), THREADS, 0, stream>>>(
        *view, scale, shift);
    return cudaGetLastError();
    //| // TODO: launch on `stream`; say what went wrong; there may be no element.
    //| (void)stream;
    //| affine_kernel<<<1, THREADS>>>(*view, scale, shift);
    //| return cudaSuccess;
    // @end
}
