#include "publish.h"

#include "options.h"

/* Property flags of basic, in the order in which properties follow. */
enum { HAS_HEADERS = 1 << 13, HAS_DELIVERY_MODE = 1 << 12, HAS_CORRELATION_ID = 1 << 10, HAS_REPLY_TO = 1 << 9 };

static u8 *put_method(u8 *p, const char *exchange, const char *key) {
    size_t e = strlen(exchange), k = strlen(key);
    if (e > 255 || k > 255) die("exchange and routing key: at most 255 bytes");
    p = put_frame(p, FRAME_METHOD, CHANNEL, (u32)(4 + 2 + 1 + e + 1 + k + 1));
    p = put16(put32(p, BASIC_PUBLISH), 0);
    p = put_short(put_short(p, exchange, e), key, k);
    return put8(put8(p, opt.mandatory ? 1 : 0), FRAME_END);
}

/* A table with one header of --headers bytes. */
static u8 *put_headers(u8 *p) {
    static const char KEY[] = "x-load";
    u32 size = (u32)opt.headers, key = sizeof KEY - 1;
    p = put32(p, 1 + key + 1 + 4 + size);
    p = put32(put8(put_short(p, KEY, key), 'S'), size);
    for (u32 i = 0; i < size; i++) p = put8(p, filler(i));
    return p;
}

static u8 *put_header(u8 *p, const char *reply_to) {
    u8 *frame = p;
    u32 flags = HAS_DELIVERY_MODE | (opt.headers ? HAS_HEADERS : 0) | (reply_to ? HAS_CORRELATION_ID | HAS_REPLY_TO : 0);
    p = put_frame(p, FRAME_HEADER, CHANNEL, 0);
    p = put64(put16(put16(p, 60), 0), (u64)opt.size);
    p = put16(p, flags);
    if (opt.headers) p = put_headers(p);
    p = put8(p, opt.persistent ? 2 : 1);
    if (reply_to) p = put_short(put_short(p, "00000000", 8), reply_to, strlen(reply_to));
    put32(frame + 3, (u32)(p - frame - 7));
    return put8(p, FRAME_END);
}

publish publish_make(const char *exchange, const char *key, u32 frame_max, const char *reply_to) {
    u32 size = (u32)opt.size, piece_max = frame_max - FRAME_OVERHEAD;
    size_t frames = size / piece_max + 1;
    size_t room = 128 + strlen(exchange) + strlen(key) + (reply_to ? strlen(reply_to) : 0) + (size_t)opt.headers;
    publish made = {.bytes = zeroed(room + size + frames * FRAME_OVERHEAD)};
    u8 *p = put_header(put_method(made.bytes, exchange, key), reply_to);
    for (u32 at = 0; at < size;) {
        u32 n = size - at < piece_max ? size - at : piece_max;
        p = put_frame(p, FRAME_BODY, CHANNEL, n);
        if (!at) made.body = (size_t)(p - made.bytes);
        for (u32 end = at + n; at < end; at++) p = put8(p, filler(at));
        p = put8(p, FRAME_END);
    }
    made.size = (size_t)(p - made.bytes);
    return made;
}
