// Given, and nothing to change: where the CUDA calls of dl.cpp and affine.cu arrive. Each goes on to the CUDA runtime;
// when a check has called simulate(), it goes to a simulated machine of several GPUs instead. That one runs no kernel;
// it knows which memory is allocated, hands out addresses that the CPU can't read, and writes down every call.
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <sys/mman.h>

#include <cstdio>
#include <map>
#include <mutex>
#include <set>
#include <string>

// Hidden: calls from inside this library bind to these, and nobody else's do.
#define CUDA_CALL extern "C" __attribute__((visibility("hidden"))) cudaError_t

extern "C" cudaError_t __cudaLaunchKernel(cudaKernel_t, dim3, dim3, void **, size_t, cudaStream_t);

namespace {

struct Machine {
    std::mutex mutex;
    int devices = 0;  // 0: no simulation
    int current = 0;
    cudaError_t last = cudaSuccess;
    std::map<void *, size_t> memory;
    std::set<void *> events;
    size_t made = 0;
    std::string failing, journal;
};

Machine &machine() {
    static Machine *one = new Machine;  // never destroyed: deleters may run when the process ends
    return *one;
}

// The function of that name in the CUDA runtime that this library was linked with.
template <class Function>
Function *real(Function *, const char *name) {
    static void *const runtime = [] {
        Dl_info found = {};
        dladdr(reinterpret_cast<void *>(&cudaGetErrorString), &found);  // one that has no stand-in below
        return dlopen(found.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    }();
    return reinterpret_cast<Function *>(dlsym(runtime, name));
}

// 0 and 1 are one stream, the legacy default.
size_t number(cudaStream_t stream) {
    return stream == nullptr ? 1 : reinterpret_cast<size_t>(stream);
}

cudaError_t failed(cudaError_t error) {
    machine().last = error;
    return error;
}

// Writes a line. An error when a check wants this call to fail.
cudaError_t wrote(const char *name, size_t first = 0, size_t second = 0, size_t third = 0) {
    Machine &m = machine();
    char line[160];
    const bool fails = m.failing == name;
    std::snprintf(line, sizeof line, "%s%s %zu %zu %zu\n", fails ? "failed-" : "", name, first, second, third);
    m.journal += line;
    if (!fails) return cudaSuccess;
    m.failing.clear();
    return failed(std::string(name) == "malloc" ? cudaErrorMemoryAllocation : cudaErrorLaunchFailure);
}

cudaError_t launched(dim3 grid, dim3 block, cudaStream_t stream) {
    const size_t blocks = size_t{grid.x} * grid.y * grid.z, threads = size_t{block.x} * block.y * block.z;
    if (blocks == 0 || threads == 0 || threads > 1024) {
        wrote("invalid-launch", number(stream));
        return failed(cudaErrorInvalidConfiguration);
    }
    return wrote("launch", number(stream), static_cast<size_t>(machine().current), blocks * threads);
}

}  // namespace

#define REAL(name, ...)                                         \
    Machine &m = machine();                                     \
    if (m.devices == 0) return real(&name, #name)(__VA_ARGS__); \
    const std::lock_guard<std::mutex> lock(m.mutex)

CUDA_CALL cudaMalloc(void **at, size_t bytes) {
    REAL(cudaMalloc, at, bytes);
    if (bytes == 0) {
        *at = nullptr;
        return cudaSuccess;
    }
    if (const cudaError_t error = wrote("malloc", static_cast<size_t>(m.current), bytes)) return error;
    *at = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (*at == MAP_FAILED) return failed(cudaErrorMemoryAllocation);
    m.memory[*at] = bytes;
    return cudaSuccess;
}

CUDA_CALL cudaFree(void *at) {
    REAL(cudaFree, at);
    if (at == nullptr) return cudaSuccess;
    const auto found = m.memory.find(at);
    if (found == m.memory.end()) {
        wrote("bad-free", reinterpret_cast<size_t>(at));
        return failed(cudaErrorInvalidValue);
    }
    wrote("free", found->second);
    munmap(at, found->second);
    m.memory.erase(found);
    return cudaSuccess;
}

CUDA_CALL cudaMallocAsync(void **at, size_t bytes, cudaStream_t stream) {
    if (machine().devices == 0) return real(&cudaMallocAsync, "cudaMallocAsync")(at, bytes, stream);
    return cudaMalloc(at, bytes);
}

CUDA_CALL cudaFreeAsync(void *at, cudaStream_t stream) {
    if (machine().devices == 0) return real(&cudaFreeAsync, "cudaFreeAsync")(at, stream);
    return cudaFree(at);
}

CUDA_CALL cudaGetDeviceCount(int *count) {
    REAL(cudaGetDeviceCount, count);
    *count = m.devices;
    return cudaSuccess;
}

CUDA_CALL cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device) {
    REAL(cudaDeviceGetAttribute, value, attribute, device);
    *value = attribute == cudaDevAttrMultiProcessorCount ? 132 : 1024;
    return device >= 0 && device < m.devices ? cudaSuccess : failed(cudaErrorInvalidDevice);
}

CUDA_CALL cudaGetDevice(int *device) {
    REAL(cudaGetDevice, device);
    *device = m.current;
    return cudaSuccess;
}

CUDA_CALL cudaSetDevice(int device) {
    REAL(cudaSetDevice, device);
    if (device < 0 || device >= m.devices) return failed(cudaErrorInvalidDevice);
    m.current = device;
    return cudaSuccess;
}

CUDA_CALL cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags) {
    REAL(cudaEventCreateWithFlags, event, flags);
    const size_t next = ++m.made;
    if (const cudaError_t error = wrote("event", next); error != cudaSuccess) return error;
    *event = reinterpret_cast<cudaEvent_t>(next);
    m.events.insert(*event);
    return cudaSuccess;
}

CUDA_CALL cudaEventCreate(cudaEvent_t *event) {
    if (machine().devices == 0) return real(&cudaEventCreate, "cudaEventCreate")(event);
    return cudaEventCreateWithFlags(event, cudaEventDefault);
}

CUDA_CALL cudaEventDestroy(cudaEvent_t event) {
    REAL(cudaEventDestroy, event);
    if (m.events.erase(event) == 0) return failed(cudaErrorInvalidResourceHandle);
    return wrote("destroy", reinterpret_cast<size_t>(event));
}

CUDA_CALL cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    REAL(cudaEventRecord, event, stream);
    if (m.events.count(event) == 0) return failed(cudaErrorInvalidResourceHandle);
    return wrote("record", reinterpret_cast<size_t>(event), number(stream), static_cast<size_t>(m.current));
}

CUDA_CALL cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
    REAL(cudaStreamWaitEvent, stream, event, flags);
    if (m.events.count(event) == 0) return failed(cudaErrorInvalidResourceHandle);
    return wrote("wait", reinterpret_cast<size_t>(event), number(stream));
}

CUDA_CALL cudaStreamSynchronize(cudaStream_t stream) {
    REAL(cudaStreamSynchronize, stream);
    return wrote("synchronize", number(stream));
}

CUDA_CALL cudaEventSynchronize(cudaEvent_t event) {
    REAL(cudaEventSynchronize, event);
    return wrote("synchronize", reinterpret_cast<size_t>(event));
}

CUDA_CALL cudaDeviceSynchronize() {
    REAL(cudaDeviceSynchronize);
    return wrote("synchronize");
}

CUDA_CALL cudaGetLastError() {
    REAL(cudaGetLastError);
    const cudaError_t error = m.last;
    m.last = cudaSuccess;
    return error;
}

CUDA_CALL cudaPeekAtLastError() {
    REAL(cudaPeekAtLastError);
    return m.last;
}

CUDA_CALL __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void **values, size_t shared, cudaStream_t s) {
    REAL(__cudaLaunchKernel, kernel, grid, block, values, shared, s);
    return launched(grid, block, s);
}

CUDA_CALL cudaLaunchKernel(const void *kernel, dim3 grid, dim3 block, void **values, size_t shared, cudaStream_t s) {
    REAL(cudaLaunchKernel, kernel, grid, block, values, shared, s);
    return launched(grid, block, s);
}

// ---- For the checks ----

#define FOR_CHECKS extern "C" __attribute__((visibility("default")))

// From now on there are so many GPUs; the first is current, nothing has failed.
FOR_CHECKS void simulate(int devices) {
    Machine &m = machine();
    m.devices = devices;
    m.current = 0;
    m.last = cudaSuccess;
}

// The next call that the journal gives this name fails.
FOR_CHECKS void fail_next(const char *name) {
    machine().failing = name;
}

// What was called since the last time: name and three numbers a line.
FOR_CHECKS const char *journal() {
    static std::string text;
    Machine &m = machine();
    const std::lock_guard<std::mutex> lock(m.mutex);
    text.swap(m.journal);
    m.journal.clear();
    return text.c_str();
}

FOR_CHECKS int current_device() {
    return machine().current;
}

FOR_CHECKS size_t allocated() {
    size_t all = 0;
    for (const auto &[at, bytes] : machine().memory) all += bytes;
    return all;
}
