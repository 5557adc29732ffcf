/* A swarm: one thread with many connections, each with few messages in flight. The next one is published when one is
 * confirmed, as many small clients do it; what is measured is the broker's way from one socket to the next. */
#include "publish.h"
#include "workers.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct {
    wire wire;
    window window;
} bee;

typedef struct swarm {
    bee *bees;
    struct pollfd *polls;
    int size;
    publish *publishes;
    int npublishes;
    u64 sent, confirmed;
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

/* Publish until `inflight` messages of this connection are unconfirmed; false if it is lost. */
static bool feed(swarm *s, bee *b, producer *p) {
    window *w = &b->window;
    while (w->sent - w->done < (u64)opt.inflight && !should_stop(p, s->sent)) {
        const publish *next = &s->publishes[s->sent % (u64)s->npublishes];
        u64 now = now_ns();
        if (is_stamped()) stamp_write(next->bytes + next->body, now, (u32)s->sent, (u16)p->id, run.id);
        w->sent_ns[++w->sent & w->mask] = now;
        p->sent_last_ns = now;
        p->writes++;
        s->sent++;
        if (!wire_write(&b->wire, next->bytes, next->size, &run.stop_all)) return false;
    }
    atomic_store_explicit(&p->sent, s->sent, memory_order_relaxed);
    return true;
}

/* Read the confirms of one connection; false if it is lost. */
static bool take(swarm *s, bee *b, producer *p) {
    u64 before = b->window.done;
    if (!producer_input(p, &b->wire, &b->window)) return false;
    s->confirmed += b->window.done - before;
    atomic_store_explicit(&p->confirmed, s->confirmed, memory_order_relaxed);
    return true;
}

static bool buzz(swarm *s, producer *p) {
    for (int i = 0; i < s->size; i++)
        if (!feed(s, &s->bees[i], p)) return false;
    while (!atomic_load(&run.stop_all)) {
        if (should_stop(p, s->sent) && s->confirmed >= s->sent) return true;
        u64 idle_since = p->confirmed_last_ns > p->sent_last_ns ? p->confirmed_last_ns : p->sent_last_ns;
        if (seconds_between(idle_since, now_ns()) > opt.drain_timeout_s) {
            warn("producer %d: %llu unconfirmed", p->id, (unsigned long long)(s->sent - s->confirmed));
            return true;
        }
        if (poll(s->polls, (nfds_t)s->size, 100) <= 0) continue;
        for (int i = 0; i < s->size; i++)
            if (s->polls[i].revents && (!take(s, &s->bees[i], p) || !feed(s, &s->bees[i], p))) return false;
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
