/* A producer: builds a batch of publishes in one buffer, writes it at once, and looks for confirms when it must. */
#include "publish.h"
#include "workers.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

enum { CLOCK_EVERY = 16, INPUT_EVERY = 64, BURST_ABOVE_GAP_NS = 200000 };
#define LOOK_AGAIN_NS (NS_PER_S / 10)

void window_open(window *w, u64 size) {
    u64 slots = 1;
    while (slots < 4 * size + 16) slots <<= 1;
    *w = (window){.sent_ns = zeroed(slots * sizeof(u64)), .mask = slots - 1, .low = 1};
}

void window_confirm(producer *p, window *w, u64 tag, bool multiple, bool nack, u64 now) {
    for (u64 t = multiple ? w->low : tag; t <= tag; t++) {
        u64 *sent = &w->sent_ns[t & w->mask];
        if (!*sent || t < w->low) continue;
        if (now > *sent && now >= run.warm_ns) histogram_add(&p->answers, now - *sent);
        *sent = 0;
        w->done++;
        if (nack) p->nacked++;
    }
    while (w->low <= w->sent && !w->sent_ns[w->low & w->mask]) w->low++;
}

/* How many more may be unconfirmed. */
static u64 window_room(const window *w, u64 size) {
    u64 unconfirmed = w->sent - w->done, span = w->sent + 1 - w->low, slots = w->mask + 1;
    if (unconfirmed >= size || span + 16 >= slots) return 0;
    u64 room = size - unconfirmed, free = slots - 16 - span;
    return room < free ? room : free;
}

bool producer_input(producer *p, wire *l, window *w) {
    for (;;) {
        ssize_t n = wire_read(l);
        if (n == 0) {
            warn("producer %d: end of stream", p->id);
            run_failed();
            return false;
        }
        if (n < 0) return errno == EAGAIN || errno == EINTR;
        u64 now = now_ns();
        u32 type, size;
        for (u8 *f; (f = next_frame(l, &type, &size));) {
            if (type != FRAME_METHOD) continue;
            u32 method = get32(f);
            if (method == BASIC_ACK || method == BASIC_NACK) {
                window_confirm(p, w, get64(f + 4), f[12] & 1, method == BASIC_NACK, now);
                p->confirmed_last_ns = now;
            } else if (method == BASIC_RETURN) {
                p->returned++;
            } else if (method == CONNECTION_BLOCKED) {
                p->blocked++;
            } else if (is_close(f, size, "producer")) {
                run_failed();
                return false;
            }
        }
        if (l == &p->wire) atomic_store_explicit(&p->confirmed, w->done, memory_order_relaxed);
        if ((size_t)n < 65536) return true;
    }
}

pace pace_of(const producer *p) {
    pace c = {.start_ns = run.start_ns, .tick_ns = 1};
    if (opt.rate <= 0) return c;
    c.gap_ns = 1e9 / opt.rate;
    c.start_ns += (u64)(c.gap_ns * p->id / opt.producers); /* producers take turns */
    if (c.gap_ns < BURST_ABOVE_GAP_NS && opt.tick_us) c.tick_ns = (u64)opt.tick_us * 1000;
    return c;
}

/* What one producer has ready to write, and the publishes it makes that from. */
typedef struct {
    u8 *bytes;
    size_t filled, written;
    publish *publishes;
    int count, next;
} outbox;

/* With the default exchange, each producer takes its share of the queues; else all rotate through all keys. */
static void outbox_make(outbox *o, const producer *p) {
    int step = *topo.exchange ? 1 : opt.producers;
    size_t largest = 0;
    *o = (outbox){.publishes = zeroed(sizeof(publish) * (size_t)(topo.nkeys + 1))};
    for (int i = *topo.exchange ? 0 : p->id % topo.nkeys; i < topo.nkeys; i += step) {
        publish made = publish_make(topo.exchange, topo.keys[i], p->wire.frame_max, NULL);
        if (made.size > largest) largest = made.size;
        o->publishes[o->count++] = made;
    }
    o->bytes = zeroed((size_t)opt.batch + largest);
}

/* Add up to `allowed` messages, at least one, as long as they fit into a batch; returns how many. */
static u64 outbox_fill(outbox *o, producer *p, window *w, const pace *c, u64 allowed, u64 *now) {
    u64 n = 0;
    o->filled = o->written = 0;
    for (; n < allowed; n++, w->sent++) {
        const publish *next = &o->publishes[o->next];
        if (o->filled && o->filled + next->size > (size_t)opt.batch) break;
        memcpy(o->bytes + o->filled, next->bytes, next->size);
        if (c->gap_ns == 0 && n % CLOCK_EVERY == 0) *now = now_ns();
        u64 when = c->gap_ns > 0 ? pace_due(c, w->sent) : *now;
        if (is_stamped()) stamp_write(o->bytes + o->filled + next->body, when, (u32)w->sent, (u16)p->id, run.id);
        if (opt.confirm) w->sent_ns[(w->sent + 1) & w->mask] = when;
        o->filled += next->size;
        if (++o->next == o->count) o->next = 0;
    }
    return n;
}

/* How many may be sent now; `wait` becomes the time until the next one is due, `room` whether the window has any. */
static u64 allowed_now(const producer *p, const window *w, const pace *c, u64 now, u64 *wait, bool *room) {
    u64 allowed = UINT64_MAX, sent = w->sent;
    if (opt.confirm) {
        allowed = window_room(w, (u64)opt.confirm);
        *room = allowed > 0;
    }
    if (p->limit && allowed > p->limit - sent) allowed = p->limit - sent;
    if (c->gap_ns > 0) {
        u64 due = pace_count(c, now);
        due = due > sent ? due - sent : 0;
        if (!due) {
            u64 next = pace_due(c, sent);
            *wait = next > now ? next - now : 1000;
        }
        if (allowed > due) allowed = due;
    }
    return allowed;
}

enum after { GO_ON, LOOK, BROKEN };

/* Write what is ready. GO_ON: make more at once. LOOK: see what the broker sent first. */
static enum after outbox_write(outbox *o, producer *p, window *w, bool stopping, bool room) {
    ssize_t n = write(p->wire.fd, o->bytes + o->written, o->filled - o->written);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        warn("producer %d: write: %s", p->id, strerror(errno));
        run_failed();
        producer_input(p, &p->wire, w); /* the broker may have said why */
        return BROKEN;
    }
    if (n > 0) o->written += (size_t)n;
    if (o->written < o->filled || stopping) return LOOK;
    if (!opt.confirm) return p->writes % INPUT_EVERY ? GO_ON : LOOK;
    return opt.rate <= 0 && room && w->sent - w->done < (u64)opt.confirm / 2 ? GO_ON : LOOK;
}

/* Whether a producer that stops has heard of all it sent, or has waited long enough. */
static bool settled(const producer *p, const window *w, u64 now) {
    if (!opt.confirm || w->done >= w->sent) return true;
    double patience = opt.drain_timeout_s;
    if (seconds_between(p->sent_last_ns, now) < patience || seconds_between(p->confirmed_last_ns, now) < patience) return false;
    warn("producer %d: %llu unconfirmed", p->id, (unsigned long long)(w->sent - w->done));
    return true;
}

/* Send until stopped; false if the connection was lost. */
static bool send_all(producer *p, outbox *o, window *w) {
    pace c = pace_of(p);
    while (!atomic_load_explicit(&run.stop_all, memory_order_relaxed)) {
        bool stopping = should_stop(p, w->sent), room = true, written = false;
        u64 now = now_ns(), wait = LOOK_AGAIN_NS;
        if (o->written == o->filled && !stopping) {
            u64 allowed = allowed_now(p, w, &c, now, &wait, &room);
            if (outbox_fill(o, p, w, &c, allowed, &now)) {
                p->sent_last_ns = now;
                p->writes++;
            }
            atomic_store_explicit(&p->sent, w->sent, memory_order_relaxed);
        }
        if (o->written < o->filled) {
            enum after next = outbox_write(o, p, w, stopping, room);
            if (next == BROKEN) break;
            if (next == GO_ON) continue;
            written = o->written == o->filled;
        }
        if (stopping && o->written == o->filled && settled(p, w, now)) break;
        /* Written, and more may be sent: only look. Else wait for confirms, for room in the socket, or for the time. */
        bool full = o->written < o->filled;
        if (!full && !stopping && room && (c.gap_ns == 0 || written)) wait = 0;
        if (full || stopping || !room || wait > LOOK_AGAIN_NS) wait = LOOK_AGAIN_NS;
        short events = wait_for(p->wire.fd, (short)(POLLIN | (full ? POLLOUT : 0)), wait);
        if (events & (POLLIN | POLLHUP | POLLERR) && !producer_input(p, &p->wire, w)) return false;
    }
    return true;
}

void *produce(void *producer_) {
    producer *p = producer_;
    window w;
    outbox o;
    wake_precisely();
    window_open(&w, (u64)opt.confirm);
    outbox_make(&o, p);
    wire_nonblocking(&p->wire, true);
    gate_pass(&run.gate);
    /* After a whole round trip all that was sent has been read: buffers of sockets do not flatter a broker. */
    if (send_all(p, &o, &w)) wire_close_politely(&p->wire, true);
    if (!opt.confirm || !p->confirmed_last_ns) p->confirmed_last_ns = now_ns();
    atomic_store(&p->confirmed, w.done);
    p->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    wire_drop(&p->wire);
    return NULL;
}
