/* ann: brute force with a k-long insertion list; the handles alive are kept in a list so that a double free is seen. */
#include "ann.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct ann_index {
    ann_index *next;
    size_t dim, count, capacity;
    const float *weights;
    float *rows;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static ann_index *alive;
static long live, bad_frees;

ann_index *ann_new(const ann_config *config) {
    if (config == NULL || config->dim == 0 || config->weights == NULL) return NULL;
    ann_index *index = calloc(1, sizeof *index);
    if (index == NULL) return NULL;
    index->dim = config->dim;
    index->weights = config->weights;
    pthread_mutex_lock(&lock);
    index->next = alive;
    alive = index;
    live++;
    pthread_mutex_unlock(&lock);
    return index;
}

void ann_free(ann_index *index) {
    if (index == NULL) return;
    pthread_mutex_lock(&lock);
    ann_index **at = &alive;
    while (*at != NULL && *at != index) at = &(*at)->next;
    int found = *at != NULL;
    if (found) {
        *at = index->next;
        live--;
    } else {
        bad_frees++;
    }
    pthread_mutex_unlock(&lock);
    if (!found) return;
    free(index->rows);
    free(index);
}

int ann_add(ann_index *index, const float *rows, size_t count) {
    if (index->count + count > index->capacity) {
        size_t capacity = index->capacity * 2 > index->count + count ? index->capacity * 2 : index->count + count;
        float *grown = realloc(index->rows, capacity * index->dim * sizeof *grown);
        if (grown == NULL) return -1;
        index->rows = grown;
        index->capacity = capacity;
    }
    if (count) memcpy(index->rows + index->count * index->dim, rows, count * index->dim * sizeof *rows);
    index->count += count;
    return 0;
}

size_t ann_size(const ann_index *index) {
    return index->count;
}

/* Four sums side by side: one alone waits for its own last addition at every step. */
static float distance(const float *weights, const float *row, const float *query, size_t dim) {
    float sums[4] = {0, 0, 0, 0};
    size_t i = 0;
    for (; i + 4 <= dim; i += 4) {
        for (size_t j = 0; j < 4; j++) {
            float d = row[i + j] - query[i + j];
            sums[j] += weights[i + j] * d * d;
        }
    }
    for (; i < dim; i++) {
        float d = row[i] - query[i];
        sums[0] += weights[i] * d * d;
    }
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

size_t ann_search(const ann_index *index, const float *query, size_t k, int64_t *ids, float *distances) {
    for (size_t i = 0; i < k; i++) {
        ids[i] = -1;
        distances[i] = INFINITY;
    }
    size_t found = 0;
    for (size_t row = 0; k > 0 && row < index->count; row++) {
        float d = distance(index->weights, index->rows + row * index->dim, query, index->dim);
        if (found == k && !(d < distances[k - 1])) continue;
        size_t at = found < k ? found++ : k - 1;
        for (; at > 0 && d < distances[at - 1]; at--) {
            distances[at] = distances[at - 1];
            ids[at] = ids[at - 1];
        }
        distances[at] = d;
        ids[at] = (int64_t)row;
    }
    return found;
}

long ann_live(void) {
    pthread_mutex_lock(&lock);
    long now = live;
    pthread_mutex_unlock(&lock);
    return now;
}

long ann_bad_frees(void) {
    pthread_mutex_lock(&lock);
    long now = bad_frees;
    pthread_mutex_unlock(&lock);
    return now;
}
