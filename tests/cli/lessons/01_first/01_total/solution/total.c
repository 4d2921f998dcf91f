#include "total.h"

double total(const double *values, size_t n) {
    // @gap
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += values[i];
    return sum;
    //| /* TODO: add them up */
    //| (void)values;
    //| return (double)n;
    // @end
}
