/* Histogram of nanoseconds with 128 steps to an octave: a percentile is less than 0.8 % off. Not shared by threads. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include "base.h"

enum { STEP_BITS = 7, STEPS = 1 << STEP_BITS, BUCKETS = (64 - STEP_BITS + 1) << STEP_BITS };

typedef struct {
    u64 n, max, sum;
    u64 *buckets; /* NULL until something is added */
} histogram;

static inline u32 bucket_of(u64 ns) {
    if (ns < STEPS) return (u32)ns;
    u32 octave = (u32)(63 - __builtin_clzll(ns)) - STEP_BITS;
    return ((octave + 1) << STEP_BITS) + (u32)((ns >> octave) & (STEPS - 1));
}

static inline void histogram_add(histogram *h, u64 ns) {
    if (!h->buckets) h->buckets = zeroed(BUCKETS * sizeof(u64));
    h->buckets[bucket_of(ns)]++;
    h->n++;
    h->sum += ns;
    if (ns > h->max) h->max = ns;
}

void histogram_merge(histogram *into, const histogram *from);

/* Microseconds; 0 if nothing was added. */
double percentile_us(const histogram *h, double percent);
double mean_us(const histogram *h);

#endif
