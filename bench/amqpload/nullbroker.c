/* nullbroker PORT: the least AMQP server that amqpload can talk to. It shows the generator's own ceiling: a figure near
 * nullbroker's says nothing about a broker.
 *
 * Publishes are confirmed once for each read (multiple) and relayed, as they came, to the one consumer there may be. One
 * thread for each connection; no queues, no flow control, no errors. With several publishers and a consumer, messages may
 * be torn where reads end: use one publisher. */
#define _GNU_SOURCE
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IN_SIZE = MIB, OUT_SIZE = 8 * MIB };

/* Method and arguments of a fixed answer, as a string literal. */
typedef struct {
    u32 to;
    u32 channel; /* 0: always on channel 0; else on the channel of the question */
    u32 size;
    const char *bytes;
} answer;

#define ANSWER(class, method, channel, literal) {METHOD(class, method), channel, sizeof(literal) - 1, literal}
static const answer ANSWERS[] = {
    ANSWER(10, 11, 0, "\0\x0a\0\x1e\x07\xff\0\2\0\0\0\0"), /* start-ok: tune 2047, 128 KiB, no heartbeat */
    ANSWER(10, 40, 0, "\0\x0a\0\x29\0"),                   /* open */
    ANSWER(10, 50, 0, "\0\x0a\0\x33"),                     /* close */
    ANSWER(20, 10, 1, "\0\x14\0\x0b\0\0\0\0"),             /* channel.open */
    ANSWER(20, 40, 1, "\0\x14\0\x29"),                     /* channel.close */
    ANSWER(40, 10, 1, "\0\x28\0\x0b"),                     /* exchange.declare */
    ANSWER(40, 20, 1, "\0\x28\0\x15"),                     /* exchange.delete */
    ANSWER(50, 10, 1, "\0\x32\0\x0b\1q\0\0\0\0\0\0\0\0"),  /* queue.declare */
    ANSWER(50, 20, 1, "\0\x32\0\x15"),                     /* queue.bind */
    ANSWER(50, 40, 1, "\0\x32\0\x29\0\0\0\0"),             /* queue.delete */
    ANSWER(60, 10, 1, "\0\x3c\0\x0b"),                     /* basic.qos */
    ANSWER(60, 20, 1, "\0\x3c\0\x15\1\x30"),               /* basic.consume: tag 0 */
    ANSWER(85, 10, 1, "\0\x55\0\x0b"),                     /* confirm.select */
};
static const char START[] = "\0\x0a\0\x0a\0\x09\0\0\0\0\0\0\0\x05PLAIN\0\0\0\x05" "en_US";

typedef struct {
    int fd;
    u8 *in, *out;
    size_t have, used, filled;
    u64 published, confirmed;
    bool confirms, greeted;
} client;

static _Atomic int consumer_fd = -1;
static _Atomic u64 delivery_tag;
static pthread_mutex_t relaying = PTHREAD_MUTEX_INITIALIZER;

static void write_all(int fd, const u8 *bytes, size_t n) {
    while (n) {
        ssize_t written = write(fd, bytes, n);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return;
        bytes += written;
        n -= (size_t)written;
    }
}

static void write_method(int fd, u32 channel, const void *bytes, u32 size) {
    u8 frame[256];
    u8 *p = put_bytes(put_frame(frame, FRAME_METHOD, channel, size), bytes, size);
    write_all(fd, frame, (size_t)(put8(p, FRAME_END) - frame));
}

/* What was collected for the consumer goes out. */
static void relay(client *c) {
    int to = atomic_load(&consumer_fd);
    if (c->filled && to >= 0) {
        pthread_mutex_lock(&relaying);
        write_all(to, c->out, c->filled);
        pthread_mutex_unlock(&relaying);
    }
    c->filled = 0;
}

/* The basic.deliver that stands for a basic.publish. */
static void collect_deliver(client *c) {
    u8 *p = put_frame(c->out + c->filled, FRAME_METHOD, CHANNEL, 4 + 2 + 8 + 1 + 1 + 2);
    p = put_short(put32(p, BASIC_DELIVER), "0", 1);
    p = put8(put64(p, atomic_fetch_add(&delivery_tag, 1) + 1), 0);
    p = put_short(put8(p, 0), "q", 1);
    c->filled = (size_t)(put8(p, FRAME_END) - c->out);
}

static void obey(client *c, u32 channel, const u8 *frame) {
    u32 method = get32(frame);
    if (method == BASIC_PUBLISH) {
        c->published++;
        if (atomic_load(&consumer_fd) >= 0) collect_deliver(c);
        return;
    }
    if (method == CHANNEL_CLOSE) relay(c);
    if (method == METHOD(85, 10)) c->confirms = true;
    if (method == CONNECTION_CLOSE && atomic_load(&consumer_fd) == c->fd) atomic_store(&consumer_fd, -1);
    for (size_t i = 0; i < sizeof ANSWERS / sizeof *ANSWERS; i++)
        if (ANSWERS[i].to == method) write_method(c->fd, ANSWERS[i].channel ? channel : 0, ANSWERS[i].bytes, ANSWERS[i].size);
    if (method == METHOD(60, 20)) atomic_store(&consumer_fd, c->fd);
}

/* Take the whole frames of the buffer. */
static void take_frames(client *c) {
    while (c->have - c->used >= FRAME_OVERHEAD) {
        u8 *frame = c->in + c->used;
        u32 size = get32(frame + 3);
        if (c->have - c->used < (size_t)size + FRAME_OVERHEAD) return;
        c->used += size + FRAME_OVERHEAD;
        if (*frame == FRAME_METHOD) {
            obey(c, get16(frame + 1), frame + 7);
        } else if (atomic_load(&consumer_fd) >= 0) {
            put_bytes(c->out + c->filled, frame, size + FRAME_OVERHEAD);
            c->filled += size + FRAME_OVERHEAD;
        }
    }
}

static void confirm(client *c) {
    u8 ack[13];
    if (!c->confirms || c->published == c->confirmed) return;
    put8(put64(put32(ack, BASIC_ACK), c->published), 1);
    write_method(c->fd, CHANNEL, ack, sizeof ack);
    c->confirmed = c->published;
}

static void *serve(void *fd) {
    client c = {.fd = (int)(intptr_t)fd, .in = malloc(IN_SIZE), .out = malloc(OUT_SIZE)};
    while (c.in && c.out) {
        memmove(c.in, c.in + c.used, c.have - c.used);
        c.have -= c.used;
        c.used = 0;
        ssize_t n = read(c.fd, c.in + c.have, IN_SIZE - c.have);
        if (n <= 0) break;
        c.have += (size_t)n;
        if (!c.greeted) {
            if (c.have < 8) continue;
            c.used = 8;
            c.greeted = true;
            write_method(c.fd, 0, START, sizeof START - 1);
        }
        take_frames(&c);
        relay(&c);
        confirm(&c);
    }
    int mine = c.fd;
    atomic_compare_exchange_strong(&consumer_fd, &mine, -1);
    close(c.fd);
    free(c.in);
    free(c.out);
    return NULL;
}

int main(int argc, char **argv) {
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    signal(SIGPIPE, SIG_IGN);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 5699));
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1024)) {
        perror("nullbroker");
        return 1;
    }
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        pthread_t thread;
        if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd)) close(fd);
        else pthread_detach(thread);
    }
}
