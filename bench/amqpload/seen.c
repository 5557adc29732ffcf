#include "seen.h"

#include <stdlib.h>

static u64 *piece_of(seen_map *m, u32 sequence) {
    _Atomic(u64 *) *slot = &m->pieces[sequence >> PIECE_BITS];
    u64 *piece = atomic_load_explicit(slot, memory_order_acquire);
    if (piece) return piece;
    u64 *fresh = zeroed((1u << PIECE_BITS) / 8);
    if (atomic_compare_exchange_strong(slot, &piece, fresh)) return fresh;
    free(fresh); /* another thread was first */
    return piece;
}

bool seen_before(seen_map *m, u32 sequence, bool shared) {
    u64 *word = &piece_of(m, sequence)[(sequence & ((1u << PIECE_BITS) - 1)) >> 6];
    u64 bit = 1ull << (sequence & 63);
    if (shared) return __atomic_fetch_or(word, bit, __ATOMIC_RELAXED) & bit;
    u64 old = *word;
    *word = old | bit;
    return old & bit;
}
