"""Declares the C library to cffi. API mode: a C compiler reads these declarations together with ann.h."""

from cffi import FFI

ffibuilder = FFI()

# @gap
ffibuilder.cdef(
    """
    typedef struct ann_index ann_index;
    typedef struct {
        size_t dim;
        const float *weights;
    } ann_config;

    ann_index *ann_new(const ann_config *config);
    void ann_free(ann_index *index);
    int ann_add(ann_index *index, const float *rows, size_t count);
    size_t ann_size(const ann_index *index);
    size_t ann_search(const ann_index *index, const float *query, size_t k, int64_t *ids, float *distances);
    """
)
#| # TODO: declare ann_config, ann_free, ann_add and ann_search as ann.h does.
#| ffibuilder.cdef(
#|     """
#|     typedef struct ann_index ann_index;
#|     size_t ann_size(const ann_index *index);
#|     """
#| )
# @end

ffibuilder.set_source("_ann", '#include "ann.h"')
