/* Frames on a socket that one thread owns. librabbitmq opens the connection (connect.h); from then on bytes are read and
 * written here, because a library call for each message would measure the library. All traffic is on channel 1. */
#ifndef WIRE_H
#define WIRE_H

#include "base.h"

#include <string.h>
#include <sys/types.h>

enum { FRAME_METHOD = 1, FRAME_HEADER = 2, FRAME_BODY = 3, FRAME_END = 0xCE, FRAME_OVERHEAD = 8 };
enum { CHANNEL = 1 };
#define METHOD(class, method) ((u32)(class) << 16 | (u32)(method))
enum {
    CONNECTION_CLOSE = METHOD(10, 50), CONNECTION_CLOSE_OK = METHOD(10, 51), CONNECTION_BLOCKED = METHOD(10, 60),
    CHANNEL_CLOSE = METHOD(20, 40), CHANNEL_CLOSE_OK = METHOD(20, 41),
    BASIC_CONSUME_OK = METHOD(60, 21), BASIC_CANCEL = METHOD(60, 30), BASIC_PUBLISH = METHOD(60, 40),
    BASIC_RETURN = METHOD(60, 50), BASIC_DELIVER = METHOD(60, 60), BASIC_ACK = METHOD(60, 80), BASIC_NACK = METHOD(60, 120)
};

static inline u8 *put8(u8 *p, u32 v) { *p = (u8)v; return p + 1; }
static inline u8 *put16(u8 *p, u32 v) { p[0] = (u8)(v >> 8); p[1] = (u8)v; return p + 2; }
static inline u8 *put32(u8 *p, u32 v) { v = __builtin_bswap32(v); memcpy(p, &v, 4); return p + 4; }
static inline u8 *put64(u8 *p, u64 v) { v = __builtin_bswap64(v); memcpy(p, &v, 8); return p + 8; }
static inline u8 *put_bytes(u8 *p, const void *from, size_t n) { memcpy(p, from, n); return p + n; }
static inline u8 *put_short(u8 *p, const void *from, size_t n) { return put_bytes(put8(p, (u32)n), from, n); }
static inline u32 get16(const u8 *p) { return (u32)p[0] << 8 | p[1]; }
static inline u32 get32(const u8 *p) { u32 v; memcpy(&v, p, 4); return __builtin_bswap32(v); }
static inline u64 get64(const u8 *p) { u64 v; memcpy(&v, p, 8); return __builtin_bswap64(v); }

static inline u8 *put_frame(u8 *p, u32 type, u32 channel, u32 size) { return put32(put16(put8(p, type), channel), size); }

/* basic.ack of `tag`, and of all before it if `multiple`. */
enum { ACK_SIZE = 21 };
static inline u8 *put_ack(u8 *p, u64 tag, bool multiple) {
    p = put_frame(p, FRAME_METHOD, CHANNEL, 13);
    return put8(put8(put64(put32(p, BASIC_ACK), tag), multiple), FRAME_END);
}

typedef struct {
    int fd; /* -1: not open */
    u32 frame_max;
    u8 *in;
    size_t have, used, size; /* bytes in `in`, of which `used` were taken */
} wire;

/* The socket as connect.h opened it, with a buffer; `nonblocking` as the thread's loop wants it. */
void wire_open(wire *l, int fd, u32 frame_max);
void wire_nonblocking(wire *l, bool nonblocking);
void wire_read_timeout(wire *l, u64 us); /* of a blocking read; 0 = none */

/* One read into the buffer: bytes, 0 at the end of the stream, -1 with errno. Pointers into the buffer die. */
ssize_t wire_read(wire *l);

/* The payload of the next whole frame in the buffer, or NULL. A frame that does not end in 0xCE ends the program. */
static inline u8 *next_frame(wire *l, u32 *type, u32 *size) {
    size_t left = l->have - l->used;
    if (left < FRAME_OVERHEAD) return NULL;
    u8 *p = l->in + l->used;
    u32 n = get32(p + 3);
    if (left < (size_t)n + FRAME_OVERHEAD) return NULL;
    if (p[7 + n] != FRAME_END) die("bad frame end (type %u, size %u)", p[0], n);
    *type = p[0];
    *size = n;
    l->used += n + FRAME_OVERHEAD;
    return p + 7;
}

/* Write all, waiting for room; false if the connection is gone or `stop` was set while it waited. */
bool wire_write(wire *l, const u8 *bytes, size_t n, const _Atomic bool *stop);

/* If this method is the broker's close of a channel or connection: say so on stderr, and true. */
bool is_close(const u8 *method, u32 size, const char *who);

/* channel.close (if `channel`) and connection.close with their answers: what was sent before has then been read by the
 * broker. Takes a minute at most. */
void wire_close_politely(wire *l, bool channel);

/* connection.close, without waiting for an answer. */
void close_hastily(int fd);

void wire_drop(wire *l);

#endif
