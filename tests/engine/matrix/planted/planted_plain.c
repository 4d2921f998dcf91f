/* A library that knows nothing of Python, for ctypes and cffi: one planted defect a function, and its clean twin. */
#include <stdlib.h>

double memory_leak(double x) {
    double *volatile block = malloc(50 * sizeof *block);
    block[0] = x;
    return block[0];
}
double clean_memory_leak(double x) {
    double *volatile block = malloc(50 * sizeof *block);
    block[0] = x;
    x = block[0];
    free(block);
    return x;
}

static void fill(double *p, long n) {
    volatile double *to = p;
    for (long i = 0; i < n; i++) to[i] = 1.5;
}
void out_of_bounds(double *p, long n) { fill(p, n + 1); }
void clean_out_of_bounds(double *p, long n) { fill(p, n); }

double spin(double rounds) {
    volatile double x = 0;
    for (double i = 0; i < rounds; i++) x += i;
    return x;
}

int crash(int x) { return x + *(volatile int *)8; }
