/* lender: the other side of a DLPack exchange. It counts how often a loan is ended, and spoils a loan that has been.
 * Knows nothing of Python's headers: what it needs of the C API is handed over as pointers. Used by ffi-dlpack. */
#include "lender.h"

#include <string.h>

static struct {
    int (*is_valid)(void *capsule, const char *name);
    void *(*pointer)(void *capsule, const char *name);
} python;

void lender_python(void *is_valid, void *pointer) {
    memcpy(&python.is_valid, &is_valid, sizeof is_valid);
    memcpy(&python.pointer, &pointer, sizeof pointer);
}

/* Ending is counted; where the book says so, what was lent turns to rubbish: a late reader goes astray at once. */
static void count_and_spoil(lender_book *book) {
    if (__atomic_fetch_add(&book->ended, 1, __ATOMIC_SEQ_CST) != 0) return;
    if (book->described != NULL) memset(book->described, 0xDD, book->described_bytes);
    if (book->values != NULL) memset(book->values, 0xDD, book->values_bytes);
}

void lender_end_versioned(lender_versioned *loan) {
    count_and_spoil(loan->book);
}

void lender_end_legacy(lender_legacy *loan) {
    count_and_spoil(loan->book);
}

void lender_end_capsule(void *capsule) {
    if (python.is_valid(capsule, "dltensor_versioned")) {
        lender_versioned *loan = python.pointer(capsule, "dltensor_versioned");
        if (loan->deleter != NULL) loan->deleter(loan);
    } else if (python.is_valid(capsule, "dltensor")) {
        lender_legacy *loan = python.pointer(capsule, "dltensor");
        if (loan->deleter != NULL) loan->deleter(loan);
    }
}

void lender_give_back(void *loan, int versioned) {
    if (versioned)
        ((lender_versioned *)loan)->deleter(loan);
    else
        ((lender_legacy *)loan)->deleter(loan);
}
