/* Prebuilt publishes: a producer copies one into its buffer, and writes the stamp into the copy.
 *
 * Stamp, the first 16 bytes of a body, in the machine's byte order: u64 monotonic ns, u32 sequence, u16 producer, u16
 * run. With --rate the time is when the message was DUE, so that a stalled broker is charged for the messages it
 * delayed; without, when it was built. Bodies below 16 bytes carry none, and are only counted. */
#ifndef PUBLISH_H
#define PUBLISH_H

#include "wire.h"

typedef struct {
    u8 *bytes;
    size_t size, body; /* `body`: where the first 16 bytes of the body are */
} publish;

typedef struct {
    u64 ns;
    u32 sequence;
    u16 producer, run;
} stamp;

/* `reply_to` NULL: none, and no correlation id. */
publish publish_make(const char *exchange, const char *key, u32 frame_max, const char *reply_to);

static inline void stamp_write(u8 *p, u64 ns, u32 sequence, u16 producer, u16 run) {
    memcpy(p, &ns, 8);
    memcpy(p + 8, &sequence, 4);
    memcpy(p + 12, &producer, 2);
    memcpy(p + 14, &run, 2);
}

static inline stamp stamp_read(const u8 *p) {
    stamp s;
    memcpy(&s.ns, p, 8);
    memcpy(&s.sequence, p + 8, 4);
    memcpy(&s.producer, p + 12, 2);
    memcpy(&s.run, p + 14, 2);
    return s;
}

/* What a body holds after its stamp: letters by their place in it. */
static inline u8 filler(size_t at) { return (u8)('a' + at % 26); }

#endif
