/* A library that came with a module: what it hands out is the module's to give back. */
#include <stdlib.h>

void *getter_get(size_t n) {
    return malloc(n);
}
