#include "histogram.h"

#include <math.h>

void histogram_merge(histogram *into, const histogram *from) {
    if (!from->buckets) return;
    if (!into->buckets) into->buckets = zeroed(BUCKETS * sizeof(u64));
    for (int i = 0; i < BUCKETS; i++) into->buckets[i] += from->buckets[i];
    into->n += from->n;
    into->sum += from->sum;
    if (from->max > into->max) into->max = from->max;
}

/* The middle of a bucket, in nanoseconds. */
static double middle_of(u32 bucket) {
    if (bucket < STEPS) return bucket;
    u32 octave = (bucket >> STEP_BITS) - 1;
    u64 low = (u64)(STEPS + (bucket & (STEPS - 1))) << octave;
    return (double)low + (double)(1ull << octave) / 2;
}

double percentile_us(const histogram *h, double percent) {
    if (!h->n) return 0;
    u64 wanted = (u64)ceil(percent / 100.0 * (double)h->n), seen = 0;
    for (u32 i = 0; i < BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen >= wanted) return fmin(middle_of(i), (double)h->max) / 1e3;
    }
    return (double)h->max / 1e3;
}

double mean_us(const histogram *h) { return h->n ? (double)h->sum / (double)h->n / 1e3 : 0; }
