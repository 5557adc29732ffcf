/* Which sequence numbers have come: a bitmap of 2^32, made in pieces of a million bits when they are needed. */
#ifndef SEEN_H
#define SEEN_H

#include "base.h"

enum { PIECE_BITS = 20, PIECES = 1 << (32 - PIECE_BITS) };

typedef struct {
    _Atomic(u64 *) pieces[PIECES];
} seen_map;

/* Mark one, and tell whether it was marked before. `shared`: other threads mark in the same map. */
bool seen_before(seen_map *m, u32 sequence, bool shared);

#endif
