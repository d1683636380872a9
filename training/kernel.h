/* Vectors and matrices, for the kernels of training on a CPU. */

#pragma once

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LANES 16
#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef float loose __attribute__((vector_size(4 * LANES), aligned(4)));
typedef int32_t ints __attribute__((vector_size(4 * LANES)));
typedef uint32_t bits __attribute__((vector_size(4 * LANES)));
typedef uint16_t halves __attribute__((vector_size(2 * LANES)));
typedef uint16_t loose_halves __attribute__((vector_size(2 * LANES), aligned(2)));

/* A matrix of tokens in the caller's memory: bf16 or float32, rows `stride` numbers apart. */
typedef struct {
    void *data;
    int64_t stride;
    int64_t bf16;
} Matrix;

/* Queries `query`..+`queries` read the keys `first`..+`firsts` and then `second`..+`seconds`. */
typedef struct {
    int64_t query, queries, first, firsts, second, seconds;
} Span;

INLINE vec load(const float *p) { return *(const loose *)p; }
INLINE void store(float *p, vec x) { *(loose *)p = x; }
INLINE vec all(float x) { return x - (vec){}; }
INLINE vec choose(ints which, vec yes, vec no) { return (vec)((which & (ints)yes) | (~which & (ints)no)); }
INLINE vec load_bf16(const uint16_t *p) { return (vec)(__builtin_convertvector((halves) * (const loose_halves *)p, bits) << 16); }
INLINE void store_bf16(uint16_t *p, vec x) { /* to nearest, ties to even */
    bits b = (bits)x;
    *(loose_halves *)p = __builtin_convertvector((b + 0x7fff + ((b >> 16) & 1)) >> 16, halves);
}
INLINE float added(vec x) {
    float sum = 0.0f;
    for (int k = 0; k < LANES; k++) sum += x[k];
    return sum;
}

/* exp for x <= 0; 2^n times a polynomial of the rest, to some 1e-7. What would be of no account is zero: numbers below the
   normal range are slow. */
INLINE vec exponential(vec x) {
    ints some = x > all(-60.0f);
    x = choose(some, x, all(-60.0f));
    vec scaled = x * all(1.44269504f) - all(0.5f);
    ints n = __builtin_convertvector(scaled, ints); /* towards zero: the nearest, of negative numbers */
    vec rest = x - __builtin_convertvector(n, vec) * all(0.693359375f) + __builtin_convertvector(n, vec) * all(2.12194440e-4f);
    vec p = all(1.9875691500e-4f);
    p = p * rest + all(1.3981999507e-3f);
    p = p * rest + all(8.3334519073e-3f);
    p = p * rest + all(4.1665795894e-2f);
    p = p * rest + all(1.6666665459e-1f);
    p = p * rest + all(5.0000001201e-1f);
    p = p * rest * rest + rest + all(1.0f);
    return (vec)(some & ((ints)p + (n << 23)));
}

/* Room for `count` numbers, this thread's for good; null where there is no memory. Every batch asks for other sizes, which
   the C library's allocator keeps apart in one long list. */
static inline float *room_for(int64_t count) {
    static __thread float *kept = NULL;
    static __thread int64_t most = 0;
    if (count > most) {
        free(kept);
        most = (count + count / 4 + LANES - 1) / LANES * LANES;
        kept = aligned_alloc(4 * LANES, most * sizeof(float));
        if (!kept) most = 0;
    }
    return kept;
}
