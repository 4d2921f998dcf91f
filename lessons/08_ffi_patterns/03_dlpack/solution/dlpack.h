/* DLPack 1.0: the structures that one framework fills in and another reads. Given. The fields, their order and their
 * values are the standard's (github.com/dmlc/dlpack, dlpack.h); the words are ours. */
#ifndef DLPACK_H
#define DLPACK_H

#include <stdint.h>

enum { DLPACK_MAJOR_VERSION = 1, DLPACK_MINOR_VERSION = 0 };

/* Where memory lies. Only the first and the third can be read by the CPU as they are. */
enum { kDLCPU = 1, kDLCUDA = 2, kDLCUDAHost = 3 /* pinned: CPU memory that a GPU can read as well */ };

typedef struct {
    int32_t device_type;
    int32_t device_id; /* 0 for both kinds of CPU memory */
} DLDevice;

enum { kDLInt = 0, kDLUInt = 1, kDLFloat = 2, kDLBfloat = 4, kDLComplex = 5, kDLBool = 6 };

typedef struct {
    uint8_t code;
    uint8_t bits;
    uint16_t lanes; /* values in one element; 1 for everything that is no vector type */
} DLDataType;

/* A tensor that says nothing about who owns it. */
typedef struct {
    void *data; /* NULL where there is no element */
    DLDevice device;
    int32_t ndim;
    DLDataType dtype;
    int64_t *shape;       /* ndim sizes; may be NULL when ndim is 0 */
    int64_t *strides;     /* ndim distances in ELEMENTS; NULL: dense, row-major (allowed before version 1.2) */
    uint64_t byte_offset; /* the first element lies at (char *)data + byte_offset */
} DLTensor;

/* A loan, old form. Travels in a capsule named "dltensor". */
typedef struct DLManagedTensor {
    DLTensor dl_tensor;
    void *manager_ctx;                             /* the lender's business */
    void (*deleter)(struct DLManagedTensor *loan); /* ends the loan, frees `loan` too; NULL: nothing to end */
} DLManagedTensor;

/* A loan since version 1.0. Travels in a capsule named "dltensor_versioned". Where version.major is another one than
 * yours, everything after `flags` may look different: nothing but the deleter may be used. */
typedef struct DLManagedTensorVersioned {
    struct {
        uint32_t major, minor;
    } version;
    void *manager_ctx;
    void (*deleter)(struct DLManagedTensorVersioned *loan);
    uint64_t flags;
    DLTensor dl_tensor;
} DLManagedTensorVersioned;

#define DLPACK_FLAG_BITMASK_READ_ONLY ((uint64_t)1)

#endif
