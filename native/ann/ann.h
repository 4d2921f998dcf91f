/* ann: exact nearest neighbours over a small shard of vectors. Used by the exercise cffi-ann. */
#ifndef ANN_H
#define ANN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ann_index ann_index; /* opaque: only the library knows what is inside */

typedef struct {
    size_t dim;           /* components of a vector, at least 1 */
    const float *weights; /* dim weights of the distance; BORROWED: must stay valid until ann_free */
} ann_config;

/* A new, empty index, or NULL when dim is 0 or weights is NULL. The caller owns it and frees it with ann_free. */
ann_index *ann_new(const ann_config *config);

/* Free an index; NULL is ignored. The second free of a handle is counted (ann_bad_frees), not done. */
void ann_free(ann_index *index);

/* Append `count` rows of dim floats; they are copied. Row i of all rows gets id i. Returns 0, or -1 without memory. */
int ann_add(ann_index *index, const float *rows, size_t count);

/* How many rows the index holds. */
size_t ann_size(const ann_index *index);

/* The k nearest rows, nearest first, by sum(weights * (row - query)^2); ties go to the smaller id. Writes k entries
 * into `ids` and `distances`; what is beyond ann_size is filled with -1 and infinity. Returns how many were found. */
size_t ann_search(const ann_index *index, const float *query, size_t k, int64_t *ids, float *distances);

/* For tests: indexes that are alive now, and frees of something that was not alive. */
long ann_live(void);
long ann_bad_frees(void);

#ifdef __cplusplus
}
#endif
#endif
