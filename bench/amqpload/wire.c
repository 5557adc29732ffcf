#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { CLOSE_TIMEOUT_S = 60, CLOSE_SIZE = 19 };

void wire_open(wire *l, int fd, u32 frame_max) {
    *l = (wire){.fd = fd, .frame_max = frame_max};
    l->size = frame_max > MIB / 2 ? 2 * (size_t)frame_max : MIB;
    l->in = zeroed(l->size);
}

void wire_nonblocking(wire *l, bool nonblocking) {
    int flags = fcntl(l->fd, F_GETFL);
    fcntl(l->fd, F_SETFL, nonblocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

void wire_read_timeout(wire *l, u64 us) {
    struct timeval t = {(time_t)(us / 1000000), (suseconds_t)(us % 1000000)};
    setsockopt(l->fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
}

ssize_t wire_read(wire *l) {
    if (l->used) {
        memmove(l->in, l->in + l->used, l->have - l->used);
        l->have -= l->used;
        l->used = 0;
    }
    ssize_t n = read(l->fd, l->in + l->have, l->size - l->have);
    if (n > 0) l->have += (size_t)n;
    return n;
}

bool wire_write(wire *l, const u8 *bytes, size_t n, const _Atomic bool *stop) {
    while (n) {
        ssize_t written = write(l->fd, bytes, n);
        if (written > 0) {
            bytes += written;
            n -= (size_t)written;
        } else if (written < 0 && (errno == EAGAIN || errno == EINTR)) {
            wait_for(l->fd, POLLOUT, NS_PER_S);
            if (stop && atomic_load(stop)) return false;
        } else {
            return false;
        }
    }
    return true;
}

bool is_close(const u8 *method, u32 size, const char *who) {
    u32 id = get32(method);
    if (id != CONNECTION_CLOSE && id != CHANNEL_CLOSE) return false;
    int length = size > 7 ? method[6] : 0;
    const char *what = id == CONNECTION_CLOSE ? "connection" : "channel";
    warn("%s: %s closed by the broker: %u %.*s", who, what, get16(method + 4), length, (const char *)method + 7);
    return true;
}

static void put_close(u8 *p, u32 channel, u32 method) {
    p = put32(put_frame(p, FRAME_METHOD, channel, CLOSE_SIZE - FRAME_OVERHEAD), method);
    p = put16(put8(put16(p, 200), 0), 0); /* reply code and text, class of what failed: none */
    put8(put16(p, 0), FRAME_END);
}

/* Read until this method comes; false at the end of the stream or of the patience. */
static bool await_method(wire *l, u32 wanted, u32 also) {
    u64 began = now_ns();
    while (now_ns() - began < CLOSE_TIMEOUT_S * NS_PER_S) {
        u32 type, size;
        for (u8 *f; (f = next_frame(l, &type, &size));)
            if (type == FRAME_METHOD && (get32(f) == wanted || get32(f) == also)) return true;
        ssize_t n = wire_read(l);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) return false;
        if (n < 0) wait_for(l->fd, POLLIN, NS_PER_S / 10);
    }
    return false;
}

void wire_close_politely(wire *l, bool channel) {
    u8 frame[CLOSE_SIZE];
    wire_nonblocking(l, true);
    if (channel) {
        put_close(frame, CHANNEL, CHANNEL_CLOSE);
        if (!wire_write(l, frame, CLOSE_SIZE, NULL) || !await_method(l, CHANNEL_CLOSE_OK, CONNECTION_CLOSE_OK)) return;
    }
    put_close(frame, 0, CONNECTION_CLOSE);
    if (wire_write(l, frame, CLOSE_SIZE, NULL)) await_method(l, CONNECTION_CLOSE_OK, CONNECTION_CLOSE_OK);
}

void close_hastily(int fd) {
    u8 frame[CLOSE_SIZE];
    put_close(frame, 0, CONNECTION_CLOSE);
    if (write(fd, frame, CLOSE_SIZE) < 0) { /* gone already */
    }
    close(fd);
}

void wire_drop(wire *l) {
    if (l->fd >= 0) close(l->fd);
    free(l->in);
    *l = (wire){.fd = -1};
}
