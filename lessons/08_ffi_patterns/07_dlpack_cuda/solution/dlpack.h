// DLPack 1.0: the structures that one framework fills in and another reads. Given; the same as in ffi-dlpack. The
// fields, their order and their values are the standard's (github.com/dmlc/dlpack, dlpack.h); the words are ours.
#pragma once

#include <cstdint>

constexpr uint32_t DLPACK_MAJOR_VERSION = 1, DLPACK_MINOR_VERSION = 0;
constexpr uint64_t DLPACK_FLAG_BITMASK_READ_ONLY = 1;

// Where memory lies. Only the second is meant here: kernels read pinned and managed memory too, but other rules hold.
enum : int32_t { kDLCPU = 1, kDLCUDA = 2, kDLCUDAHost = 3, kDLROCM = 10, kDLCUDAManaged = 13 };
enum : uint8_t { kDLInt = 0, kDLUInt = 1, kDLFloat = 2, kDLBfloat = 4 };

struct DLDevice {
    int32_t device_type;
    int32_t device_id;  // which GPU: cudaSetDevice(device_id)
};

struct DLDataType {
    uint8_t code;
    uint8_t bits;
    uint16_t lanes;  // values in one element; 1 for everything that is no vector type
};

struct DLTensor {
    void *data;  // NULL where there is no element
    DLDevice device;
    int32_t ndim;
    DLDataType dtype;
    int64_t *shape;
    int64_t *strides;      // in ELEMENTS; NULL: dense, row-major (allowed before version 1.2)
    uint64_t byte_offset;  // the first element lies at (char *)data + byte_offset
};

// A loan, old form. Travels in a capsule named "dltensor".
struct DLManagedTensor {
    DLTensor dl_tensor;
    void *manager_ctx;                   // the lender's business
    void (*deleter)(DLManagedTensor *);  // ends the loan, frees the structure too; NULL: nothing to end
};

// A loan since version 1.0. Travels in a capsule named "dltensor_versioned". Where version.major is another one than
// yours, nothing but the deleter may be used.
struct DLManagedTensorVersioned {
    struct {
        uint32_t major, minor;
    } version;
    void *manager_ctx;
    void (*deleter)(DLManagedTensorVersioned *);
    uint64_t flags;
    DLTensor dl_tensor;
};
