/* lender: loans as another framework makes and takes them. Used by the exercise ffi-dlpack. */
#ifndef LENDER_H
#define LENDER_H

#include <stddef.h>
#include <stdint.h>

/* What is known about one loan; the tests make it, and it outlives the loan. */
typedef struct {
    int64_t ended;          /* how often the loan was ended: once is right */
    void *described;        /* its DLTensor, spoiled at the end; NULL: it stays as it is */
    size_t described_bytes; /* of the DLTensor */
    void *values;           /* its memory; the same */
    size_t values_bytes;
} lender_book;

/* The heads of both forms of loan, as far as the lender has to know them; DLTensor is 48 bytes on 64-bit machines. */
typedef struct lender_versioned {
    uint32_t major, minor;
    lender_book *book;
    void (*deleter)(struct lender_versioned *loan);
} lender_versioned;

typedef struct lender_legacy {
    unsigned char tensor[48];
    lender_book *book;
    void (*deleter)(struct lender_legacy *loan);
} lender_legacy;

/* Hand over PyCapsule_IsValid and PyCapsule_GetPointer. Before anything else. */
void lender_python(void *is_valid, void *pointer);

/* Deleters of loans that the tests make, and the destructor of their capsules. */
void lender_end_versioned(lender_versioned *loan);
void lender_end_legacy(lender_legacy *loan);
void lender_end_capsule(void *capsule);

/* Call the deleter of somebody else's loan, from C, as a borrower does. */
void lender_give_back(void *loan, int versioned);

#endif
