#define _GNU_SOURCE
#include "roof.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__AVX512F__)
#define WIDTH 64
#elif defined(__AVX__)
#define WIDTH 32
#else
#define WIDTH 16
#endif
/* Enough independent sums to fill the pipelines (latency 4 to 5, two a cycle), few enough for the registers. */
#define SUMS 10

typedef float lanes __attribute__((vector_size(WIDTH)));

/* The compiler may not drop, merge or move work over this line. */
#define KEEP(p) __asm__ volatile("" : : "r"(p) : "memory")

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef void pass(float *restrict a, const float *restrict b, const float *restrict c, size_t n);

static void read_pass(float *restrict a, const float *restrict b, const float *restrict c, size_t n) {
    /* All three arrays are read, so that every pass moves the same number of bytes. */
    lanes sums[8] = {{0}};
    const float *const from[] = {a, b, c};
    for (int k = 0; k < 3; k++) {
        const lanes *x = (const lanes *)from[k];
        size_t m = n * sizeof(float) / WIDTH;
        for (size_t i = 0; i + 8 <= m; i += 8) {
            for (int j = 0; j < 8; j++) {
                sums[j] += x[i + (size_t)j];
            }
        }
    }
    KEEP(sums);
}

static void copy_pass(float *restrict a, const float *restrict b, const float *restrict c, size_t n) {
    (void)c;
    memcpy(a, b, n * sizeof(float));
    KEEP(a);
}

static void triad_pass(float *restrict a, const float *restrict b, const float *restrict c, size_t n) {
    for (size_t i = 0; i < n; i++) {
        a[i] = b[i] + 3.0F * c[i];
    }
    KEEP(a);
}

/* The best pass counts: anything slower was disturbed. Short passes are timed in groups of at least 20 us. */
static double fastest(pass *run, float *const arrays[3], size_t n, double bytes, double seconds) {
    int group = 1;
    double best = 0.0, end = now() + seconds;
    do {
        double start = now();
        for (int i = 0; i < group; i++) {
            run(arrays[0], arrays[1], arrays[2], n);
        }
        double took = now() - start;
        if (took < 20e-6) {
            group *= 2;
            continue;
        }
        double rate = bytes * group / took;
        best = rate > best ? rate : best;
    } while (now() < end);
    return best;
}

double roof_bandwidth(size_t bytes, double seconds) {
    /* Whole blocks of eight registers; a little apart, so that the three don't fall into the same cache sets. */
    size_t n = bytes / 3 / (8 * WIDTH) * (8 * WIDTH) / sizeof(float);
    size_t apart = n * sizeof(float) + 5 * 64;
    char *block = NULL;
    if (n == 0 || posix_memalign((void **)&block, 4096, 3 * apart + 64) != 0) {
        return 0.0;
    }
    float *arrays[3];
    for (int k = 0; k < 3; k++) {
        arrays[k] = (float *)(block + (size_t)k * apart);
        for (size_t i = 0; i < n; i++) {
            arrays[k][i] = 1.0F;
        }
    }
    double moved = (double)(n * sizeof(float));
    double best = fastest(read_pass, arrays, n, 3 * moved, seconds);
    double copied = fastest(copy_pass, arrays, n, 2 * moved, seconds);
    double triad = fastest(triad_pass, arrays, n, 3 * moved, seconds);
    free(block);
    best = copied > best ? copied : best;
    return triad > best ? triad : best;
}

double roof_flops(double seconds) {
    enum { ROUNDS = 2000 };
    lanes sums[SUMS], by, add;
    for (int j = 0; j < SUMS; j++) {
        sums[j] = (lanes){0} + (float)j;
    }
    by = (lanes){0} + 0.999F;
    add = (lanes){0} + 0.001F;
    KEEP(&by);
    KEEP(&add);
    double best = 0.0, end = now() + seconds;
    do {
        double start = now();
        for (int i = 0; i < ROUNDS; i++) {
            for (int j = 0; j < SUMS; j++) {
                sums[j] = sums[j] * by + add;
            }
        }
        double took = now() - start;
        KEEP(sums);
        double rate = 2.0 * ROUNDS * SUMS * (WIDTH / sizeof(float)) / took;
        best = rate > best ? rate : best;
    } while (now() < end);
    return best;
}
