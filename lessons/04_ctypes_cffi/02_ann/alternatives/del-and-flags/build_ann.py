"""The functions first, each as it stands in ann.h; of the struct only what is used."""

import cffi

DECLARATIONS = """
struct ann_index;
typedef struct ann_index ann_index;

typedef struct { const float *weights; size_t dim; ...; } ann_config;

size_t ann_search(const ann_index *, const float *, size_t, int64_t *, float *);
size_t ann_size(const ann_index *);
ann_index *ann_new(const ann_config *);
int ann_add(ann_index *, const float *, size_t);
void ann_free(ann_index *);
"""

ffibuilder = cffi.FFI()
ffibuilder.set_source("_ann", "#include <ann.h>")
ffibuilder.cdef(DECLARATIONS)
