// Operators with one planted defect each, and their clean twins; torch's stable ABI, as it compiles in seconds.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <cstdint>
#include <cstdlib>

using torch::stable::Tensor;

static int64_t memory_leak(Tensor x) {
    volatile char *block = static_cast<char *>(std::malloc(400));
    block[0] = 1;
    return x.numel();
}
static int64_t clean_memory_leak(Tensor x) {
    volatile char *block = static_cast<char *>(std::malloc(400));
    block[0] = 1;
    std::free(const_cast<char *>(block));
    return x.numel();
}

static double total(const Tensor &x, int64_t numbers) {
    const double *data = x.const_data_ptr<double>();
    double sum = 0;
    for (int64_t i = 0; i < numbers; ++i) sum += data[i];
    return sum;
}
static double out_of_bounds(Tensor x) {
    return total(x, x.numel() + 1);
}
static double clean_out_of_bounds(Tensor x) {
    return total(x, x.numel());
}

static int64_t crash(Tensor) {
    return *reinterpret_cast<volatile int *>(8);
}

STABLE_TORCH_LIBRARY(planted_torch, m) {
    m.def("memory_leak(Tensor x) -> int");
    m.def("clean_memory_leak(Tensor x) -> int");
    m.def("out_of_bounds(Tensor x) -> float");
    m.def("clean_out_of_bounds(Tensor x) -> float");
    m.def("crash(Tensor x) -> int");
}
STABLE_TORCH_LIBRARY_IMPL(planted_torch, CPU, m) {
    m.impl("memory_leak", TORCH_BOX(&memory_leak));
    m.impl("clean_memory_leak", TORCH_BOX(&clean_memory_leak));
    m.impl("out_of_bounds", TORCH_BOX(&out_of_bounds));
    m.impl("clean_out_of_bounds", TORCH_BOX(&clean_out_of_bounds));
    m.impl("crash", TORCH_BOX(&crash));
}
