/* What one core of this machine can do at most: bytes a second by the size of the data, and float operations a second.
 */
#ifndef MLTUTOR_ROOF_H
#define MLTUTOR_ROOF_H

#include <stddef.h>

/* The best of reading (a sum), copying and a triad over `bytes` of data in all, each repeated for about `seconds`; in
 * bytes a second, each array counted once a pass. 0 when there is not so much memory. */
double roof_bandwidth(size_t bytes, double seconds);

/* Single-precision operations a second: independent fused multiply-adds in the widest registers. An add and a multiply
 * are two. */
double roof_flops(double seconds);

#endif
