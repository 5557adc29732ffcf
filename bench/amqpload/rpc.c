/* Request and reply over amq.rabbitmq.reply-to: `call` publishes requests and times the answers, `serve` echoes them. */
#include "publish.h"
#include "workers.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

enum { READ_TIMEOUT_US = 20000, REPLIES_ROOM = 4 * MIB, REPLIES_FULL = 3 * MIB };
#define LOOK_AGAIN_NS (NS_PER_S / 20)

typedef struct {
    const u8 *bytes;
    u32 size;
} piece;

/* Correlation id and reply-to of a content header, where they are in the frame; size 0 if they are not. */
static void reply_properties(const u8 *header, piece *correlation_id, piece *reply_to) {
    u32 flags = get16(header + 12);
    const u8 *p = header + 14;
    *correlation_id = *reply_to = (piece){p, 0};
    if (flags & 1u << 15) p += 1 + *p;         /* content type */
    if (flags & 1u << 14) p += 1 + *p;         /* content encoding */
    if (flags & 1u << 13) p += 4 + get32(p);   /* headers */
    if (flags & 1u << 12) p++;                 /* delivery mode */
    if (flags & 1u << 11) p++;                 /* priority */
    if (flags & 1u << 10) {
        *correlation_id = (piece){p + 1, *p};
        p += 1 + *p;
    }
    if (flags & 1u << 9) *reply_to = (piece){p + 1, *p};
}

/* Method and header of the reply to the request whose content header this is; its body follows as it comes. */
static u8 *put_reply(u8 *p, const u8 *header) {
    piece id, to;
    reply_properties(header, &id, &to);
    p = put_frame(p, FRAME_METHOD, CHANNEL, 4 + 2 + 1 + 1 + to.size + 1);
    p = put8(put16(put32(p, BASIC_PUBLISH), 0), 0);
    p = put8(put8(put_short(p, to.bytes, to.size), 0), FRAME_END);
    p = put_frame(p, FRAME_HEADER, CHANNEL, 14 + 1 + 1 + id.size);
    p = put64(put16(put16(p, 60), 0), get64(header + 4));
    p = put8(put16(p, 1u << 12 | 1u << 10), 1);
    return put8(put_short(p, id.bytes, id.size), FRAME_END);
}

void *serve(void *consumer_) {
    consumer *c = consumer_;
    u8 *replies = zeroed(REPLIES_ROOM);
    size_t filled = 0;
    u64 left = 0, got = 0;
    wire_read_timeout(&c->wire, READ_TIMEOUT_US);
    gate_pass(&run.gate);
    while (!atomic_load_explicit(&run.stop_all, memory_order_relaxed)) {
        u32 type, size;
        for (u8 *f; (f = next_frame(&c->wire, &type, &size));) {
            if (type == FRAME_METHOD && is_close(f, size, "server")) {
                run_failed();
                return NULL;
            }
            if (type == FRAME_HEADER) {
                left = get64(f + 4);
                filled = (size_t)(put_reply(replies + filled, f) - replies);
            } else if (type == FRAME_BODY && left) {
                put16(put_bytes(replies + filled, f - 7, size + FRAME_OVERHEAD) - size - 7, CHANNEL);
                filled += size + FRAME_OVERHEAD;
                left -= size;
                got += !left;
            }
            if (filled > REPLIES_FULL) {
                wire_write(&c->wire, replies, filled, &run.stop_all);
                filled = 0;
            }
        }
        atomic_store_explicit(&c->got, got, memory_order_relaxed);
        if (filled && !left) {
            wire_write(&c->wire, replies, filled, &run.stop_all);
            filled = 0;
        }
        ssize_t n = wire_read(&c->wire);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) break;
    }
    c->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    wire_close_politely(&c->wire, false);
    wire_drop(&c->wire);
    free(replies);
    return NULL;
}

typedef struct {
    publish request;
    u8 *bytes; /* room for --inflight requests */
    u64 sent, done, left;
    bool body_begins;
} caller;

/* Publish until --inflight requests are open; the time until the next one is due. */
static u64 send_requests(producer *p, caller *r, const pace *c) {
    u64 now = now_ns();
    size_t filled = 0;
    u64 wait = LOOK_AGAIN_NS;
    while (!should_stop(p, r->sent) && r->sent - r->done < (u64)opt.inflight) {
        u64 due = c->gap_ns > 0 ? pace_due(c, r->sent) : now;
        if (due > now) {
            wait = due - now;
            break;
        }
        u8 *next = r->bytes + filled;
        memcpy(next, r->request.bytes, r->request.size);
        stamp_write(next + r->request.body, due, (u32)r->sent, (u16)p->id, run.id);
        filled += r->request.size;
        r->sent++;
    }
    if (filled && !wire_write(&p->wire, r->bytes, filled, &run.stop_all)) run_failed();
    atomic_store(&p->sent, r->sent);
    return wait < LOOK_AGAIN_NS ? wait : LOOK_AGAIN_NS;
}

/* Count the replies in the buffer; false if the broker closed. */
static bool take_replies(producer *p, caller *r) {
    u64 now = now_ns();
    u32 type, size;
    for (u8 *f; (f = next_frame(&p->wire, &type, &size));) {
        if (type == FRAME_METHOD && is_close(f, size, "caller")) {
            run_failed();
            return false;
        }
        if (type == FRAME_METHOD && get32(f) == BASIC_RETURN) {
            p->returned++;
        } else if (type == FRAME_HEADER) {
            r->left = get64(f + 4);
            r->body_begins = true;
        } else if (type == FRAME_BODY) {
            u64 sent = r->body_begins ? stamp_read(f).ns : 0;
            if (r->body_begins && sent >= run.warm_ns && now > sent) histogram_add(&p->answers, now - sent);
            r->body_begins = false;
            r->left -= size;
            if (r->left) continue;
            r->done++;
            p->sent_last_ns = now;
        }
    }
    atomic_store(&p->confirmed, r->done);
    return true;
}

void *call(void *producer_) {
    producer *p = producer_;
    caller r = {.request = publish_make("", topo.queues[p->id % topo.nqueues], p->wire.frame_max, "amq.rabbitmq.reply-to")};
    r.bytes = zeroed(r.request.size * (size_t)opt.inflight);
    wake_precisely();
    wire_nonblocking(&p->wire, true);
    gate_pass(&run.gate);
    pace c = pace_of(p);
    p->sent_last_ns = run.start_ns;
    for (;;) {
        u64 wait = send_requests(p, &r, &c);
        if (should_stop(p, r.sent) && (r.done >= r.sent || atomic_load(&run.stop_all))) break;
        if (!wait_for(p->wire.fd, POLLIN, wait)) {
            if (should_stop(p, r.sent) && seconds_between(p->sent_last_ns, now_ns()) > opt.drain_timeout_s) break;
            continue;
        }
        ssize_t n = wire_read(&p->wire);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            run_failed();
            break;
        }
        if (!take_replies(p, &r)) break;
    }
    p->confirmed_last_ns = p->sent_last_ns;
    p->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    wire_close_politely(&p->wire, true);
    wire_drop(&p->wire);
    free(r.bytes);
    return NULL;
}
