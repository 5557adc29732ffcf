/* A swarm: one thread with many connections, each with few messages in flight. The next one is published when one is
 * confirmed, as many small clients do it; what is measured is the broker's way from one socket to the next. All of them
 * send from the same bytes, a piece each in turn, so that a hundred connections can be amid a large body at once. */
#include "publish.h"
#include "workers.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

enum { PIECE_MAX = 256 * KIB };

typedef struct {
    wire wire;
    window window;
    const publish *sending; /* NULL: between messages */
    size_t written;         /* bytes of it */
    u64 stamp_ns;
    u32 sequence;
} bee;

typedef struct swarm {
    bee *bees;
    struct pollfd *polls;
    int size;
    publish *publishes;
    int npublishes;
    u64 sent, confirmed;
    u64 moved_ns; /* when the broker last took or confirmed something */
} swarm;

/* Connections are shared out evenly: this is how many of them thread `id` has. */
static int share(int total, int threads, int id) { return total / threads + (id < total % threads); }

static void open_bee(bee *b, int index) {
    amqp_connection_state_t c = connect_or_die(index, true);
    amqp_confirm_select(c, CHANNEL);
    check_reply(c, "confirm.select");
    int fd = connect_release(c);
    *b = (bee){.wire = {.fd = fd, .frame_max = (u32)opt.frame_max, .size = 4096, .in = zeroed(4096)}};
    window_open(&b->window, (u64)opt.inflight);
    wire_nonblocking(&b->wire, true);
}

void swarm_open(producer *p) {
    swarm *s = p->swarm = zeroed(sizeof(swarm));
    s->size = share(opt.swarm, opt.producers, p->id);
    s->bees = zeroed(sizeof(bee) * (size_t)s->size);
    s->polls = zeroed(sizeof(struct pollfd) * (size_t)s->size);
    for (int i = 0; i < s->size; i++) {
        open_bee(&s->bees[i], i);
        s->polls[i] = (struct pollfd){s->bees[i].wire.fd, POLLIN, 0};
    }
    s->publishes = zeroed(sizeof(publish) * (size_t)topo.nkeys);
    for (; s->npublishes < topo.nkeys; s->npublishes++)
        s->publishes[s->npublishes] = publish_make(topo.exchange, topo.keys[s->npublishes], (u32)opt.frame_max, NULL);
}

/* Begin the next message of a connection. */
static void begin(swarm *s, bee *b, producer *p) {
    window *w = &b->window;
    b->sending = &s->publishes[s->sent % (u64)s->npublishes];
    b->written = 0;
    b->stamp_ns = p->sent_last_ns = now_ns();
    b->sequence = (u32)s->sent++;
    w->sent_ns[++w->sent & w->mask] = b->stamp_ns;
    p->writes++;
    atomic_store_explicit(&p->sent, s->sent, memory_order_relaxed);
}

/* Write what the socket takes of the message that is being sent; false if the connection is lost. */
static bool write_piece(swarm *s, bee *b, const producer *p) {
    const publish *m = b->sending;
    if (is_stamped() && b->written < m->body + STAMP_SIZE) /* others have stamped the same bytes since */
        stamp_write(m->bytes + m->body, b->stamp_ns, b->sequence, (u16)p->id, run.id);
    size_t left = m->size - b->written;
    ssize_t n = write(b->wire.fd, m->bytes + b->written, left < PIECE_MAX ? left : PIECE_MAX);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    b->written += (size_t)n;
    s->moved_ns = now_ns();
    if (b->written == m->size) b->sending = NULL;
    return true;
}

/* Publish until `inflight` messages of this connection are unconfirmed, or its socket is full, or a piece of a large one
 * is written; tell poll what to wait for. False if the connection is lost. */
static bool feed(swarm *s, int index, producer *p) {
    bee *b = &s->bees[index];
    do {
        bool more = b->window.sent - b->window.done < (u64)opt.inflight && !should_stop(p, s->sent);
        if (!b->sending && more) begin(s, b, p);
        if (b->sending && !write_piece(s, b, p)) return false;
        if (!b->sending && !more) break;
    } while (!b->sending);
    s->polls[index].events = (short)(POLLIN | (b->sending ? POLLOUT : 0));
    return true;
}

/* Read the confirms of one connection; false if it is lost. */
static bool take(swarm *s, bee *b, producer *p) {
    u64 before = b->window.done;
    if (!producer_input(p, &b->wire, &b->window)) return false;
    if (b->window.done != before) s->moved_ns = now_ns();
    s->confirmed += b->window.done - before;
    atomic_store_explicit(&p->confirmed, s->confirmed, memory_order_relaxed);
    return true;
}

static bool buzz(swarm *s, producer *p) {
    s->moved_ns = now_ns();
    for (int i = 0; i < s->size; i++)
        if (!feed(s, i, p)) return false;
    while (!atomic_load(&run.stop_all)) {
        if (should_stop(p, s->sent) && s->confirmed >= s->sent) return true;
        if (seconds_between(s->moved_ns, now_ns()) > opt.drain_timeout_s) {
            warn("producer %d: %llu unconfirmed", p->id, (unsigned long long)(s->sent - s->confirmed));
            return true;
        }
        if (poll(s->polls, (nfds_t)s->size, 100) <= 0) continue;
        for (int i = 0; i < s->size; i++) {
            short events = s->polls[i].revents;
            if (events & ~POLLOUT && !take(s, &s->bees[i], p)) return false;
            if (events && !feed(s, i, p)) return false;
        }
    }
    return true;
}

void *produce_swarm(void *producer_) {
    producer *p = producer_;
    swarm *s = p->swarm;
    wake_precisely();
    gate_pass(&run.gate);
    if (!buzz(s, p)) run_failed();
    p->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    for (int i = 0; i < s->size; i++) close_hastily(s->bees[i].wire.fd);
    return NULL;
}
