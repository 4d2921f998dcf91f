/* sgd: a thread a model; weights in double, so that the order of additions doesn't show in the losses. */
#include "sgd.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

typedef struct {
    sgd_sweep *sweep;
    double rate;
    void *user;
    double *weights;
    float *losses;
    _Atomic uint64_t done;
    pthread_t thread;
    int has_thread;
} model;

struct sgd_sweep {
    sgd_sweep *next;
    const float *rows, *targets;
    size_t count, dim, block;
    sgd_on_block on_block;
    uint64_t first, steps;
    model **models;
    size_t size, running, waiters;
    int started;
    atomic_int stop;
    pthread_mutex_t lock; /* guards running, waiters and has_thread */
    pthread_cond_t changed;
};

static pthread_mutex_t all = PTHREAD_MUTEX_INITIALIZER;
static sgd_sweep *alive;
static long live, bad_frees;
static atomic_long threads;

sgd_sweep *sgd_new(const float *rows, const float *targets, size_t count, size_t dim, size_t block,
                   sgd_on_block on_block) {
    if (count == 0 || dim == 0 || block == 0 || !rows || !targets || !on_block) return NULL;
    sgd_sweep *sweep = calloc(1, sizeof *sweep);
    if (sweep == NULL) return NULL;
    sweep->rows = rows;
    sweep->targets = targets;
    sweep->count = count;
    sweep->dim = dim;
    sweep->block = block;
    sweep->on_block = on_block;
    pthread_mutex_init(&sweep->lock, NULL);
    pthread_cond_init(&sweep->changed, NULL);
    pthread_mutex_lock(&all);
    sweep->next = alive;
    alive = sweep;
    live++;
    pthread_mutex_unlock(&all);
    return sweep;
}

static void free_model(model *m) {
    if (m == NULL) return;
    free(m->weights);
    free(m->losses);
    free(m);
}

long sgd_add(sgd_sweep *sweep, double rate, void *user) {
    if (sweep->started) return -1;
    model **grown = realloc(sweep->models, (sweep->size + 1) * sizeof *grown);
    if (grown == NULL) return -1;
    sweep->models = grown;
    model *m = calloc(1, sizeof *m);
    if (m == NULL) return -1;
    m->weights = calloc(sweep->dim, sizeof *m->weights);
    m->losses = calloc(sweep->block, sizeof *m->losses);
    if (m->weights == NULL || m->losses == NULL) {
        free_model(m);
        return -1;
    }
    m->sweep = sweep;
    m->rate = rate;
    m->user = user;
    grown[sweep->size] = m;
    return (long)sweep->size++;
}

static float step(const sgd_sweep *sweep, model *m, uint64_t number) {
    size_t dim = sweep->dim, at = number % sweep->count;
    const float *row = sweep->rows + at * dim;
    double error = -(double)sweep->targets[at];
    for (size_t j = 0; j < dim; j++) error += m->weights[j] * row[j];
    for (size_t j = 0; j < dim; j++) m->weights[j] -= m->rate * error * row[j];
    return (float)(error * error);
}

static void *train(void *argument) {
    model *m = argument;
    sgd_sweep *sweep = m->sweep;
    uint64_t done = 0;
    int ends = 0;
    while (!ends && done < sweep->steps) {
        size_t count = sweep->steps - done < sweep->block ? (size_t)(sweep->steps - done) : sweep->block;
        uint64_t first = sweep->first + done;
        for (size_t i = 0; i < count; i++) m->losses[i] = step(sweep, m, first + i);
        done += count;
        atomic_store(&m->done, done);
        ends = sweep->on_block(m->user, first, m->losses, count) != 0;
        for (size_t i = 0; i < count; i++) m->losses[i] = NAN;
        if (atomic_load(&sweep->stop)) ends = 1;
    }
    sweep->on_block(m->user, sweep->first + done, NULL, 0);
    atomic_fetch_sub(&threads, 1);
    pthread_mutex_lock(&sweep->lock);
    sweep->running--;
    pthread_cond_broadcast(&sweep->changed);
    pthread_mutex_unlock(&sweep->lock);
    return NULL;
}

int sgd_start(sgd_sweep *sweep, uint64_t first, uint64_t steps) {
    if (sweep->started) return -1;
    sweep->started = 1;
    sweep->first = first;
    sweep->steps = steps;
    int failed = 0;
    pthread_mutex_lock(&sweep->lock);
    for (size_t i = 0; i < sweep->size && !failed; i++) {
        model *m = sweep->models[i];
        atomic_fetch_add(&threads, 1);
        failed = pthread_create(&m->thread, NULL, train, m) != 0;
        m->has_thread = !failed;
        if (failed) atomic_fetch_sub(&threads, 1);
        sweep->running += !failed;
    }
    pthread_mutex_unlock(&sweep->lock);
    if (failed) sgd_stop(sweep);
    return failed ? -1 : 0;
}

void sgd_stop(sgd_sweep *sweep) {
    atomic_store(&sweep->stop, 1);
}

static int is_own_thread(sgd_sweep *sweep) {
    pthread_mutex_lock(&sweep->lock);
    int own = 0;
    for (size_t i = 0; i < sweep->size; i++) {
        model *m = sweep->models[i];
        own |= m->has_thread && pthread_equal(m->thread, pthread_self());
    }
    pthread_mutex_unlock(&sweep->lock);
    return own;
}

int sgd_wait(sgd_sweep *sweep) {
    if (is_own_thread(sweep)) return -1;
    pthread_mutex_lock(&sweep->lock);
    sweep->waiters++;
    while (sweep->running) pthread_cond_wait(&sweep->changed, &sweep->lock);
    sweep->waiters--;
    pthread_cond_broadcast(&sweep->changed);
    pthread_mutex_unlock(&sweep->lock);
    return 0;
}

uint64_t sgd_steps(const sgd_sweep *sweep, size_t model) {
    return model < sweep->size ? atomic_load(&sweep->models[model]->done) : 0;
}

/* 1 when the sweep is alive; `take` removes it from the list, and counts it as a bad free when it isn't there. */
static int look_up(const sgd_sweep *sweep, int take) {
    pthread_mutex_lock(&all);
    sgd_sweep **at = &alive;
    while (*at != NULL && *at != sweep) at = &(*at)->next;
    int found = *at != NULL;
    if (take && found) {
        *at = sweep->next;
        live--;
    } else if (!found) {
        bad_frees++;
    }
    pthread_mutex_unlock(&all);
    return found;
}

int sgd_free(sgd_sweep *sweep) {
    if (sweep == NULL || !look_up(sweep, 0)) return 0;
    if (is_own_thread(sweep)) return -1;
    if (!look_up(sweep, 1)) return 0;
    sgd_stop(sweep);
    pthread_mutex_lock(&sweep->lock);
    while (sweep->running || sweep->waiters) pthread_cond_wait(&sweep->changed, &sweep->lock);
    pthread_mutex_unlock(&sweep->lock);
    for (size_t i = 0; i < sweep->size; i++) {
        if (sweep->models[i]->has_thread) pthread_join(sweep->models[i]->thread, NULL);
        free_model(sweep->models[i]);
    }
    pthread_cond_destroy(&sweep->changed);
    pthread_mutex_destroy(&sweep->lock);
    free(sweep->models);
    free(sweep);
    return 0;
}

long sgd_live(void) {
    pthread_mutex_lock(&all);
    long n = live;
    pthread_mutex_unlock(&all);
    return n;
}

long sgd_running(void) {
    return atomic_load(&threads);
}

long sgd_bad_frees(void) {
    pthread_mutex_lock(&all);
    long n = bad_frees;
    pthread_mutex_unlock(&all);
    return n;
}
