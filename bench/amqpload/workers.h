/* The threads: what each counts while it runs, and what they share. Counters that the main thread reads on the way are
 * atomic and on cache lines of their own; the others are read when their thread has ended. */
#ifndef WORKERS_H
#define WORKERS_H

#include "histogram.h"
#include "options.h"
#include "seen.h"
#include "topology.h"

typedef struct {
    _Alignas(64) int id;
    pthread_t thread;
    wire wire;
    struct swarm *swarm; /* its connections with --swarm, instead of `wire` */
    u64 limit;           /* messages it may send; 0 = no limit */
    u64 sent_last_ns, confirmed_last_ns, cpu_ns, writes;
    u64 nacked, returned, blocked;
    histogram answers; /* confirm, round trip or operation: until the answer */
    _Alignas(64) _Atomic u64 sent, confirmed;
} producer;

typedef struct {
    _Alignas(64) int id;
    int queue; /* index of its queue, of the first one with --subscribe-all */
    pthread_t thread;
    wire wire;
    u64 got_first_ns, got_last_ns, cpu_ns, reads, bytes;
    u64 unique, duplicates, redelivered, disordered, foreign, bad_bodies, cancelled;
    histogram latency; /* until the delivery was read */
    _Alignas(64) _Atomic u64 got;
} consumer;

struct run {
    u16 id;             /* in every stamp: messages of other runs are foreign */
    u64 start_ns;       /* set before the gate opens */
    u64 warm_ns;        /* latencies of what was sent before are not counted */
    gate gate;
    producer *producers;
    consumer *consumers;
    seen_map **seen;    /* [queue * producers + producer]; one queue's worth with --subscribe-all */
    u8 *pattern;        /* a body as it should be, for --verify */
    _Atomic bool stop_publishing, stop_all, failed;
    _Atomic int consumers_alive;
};

extern struct run run;

/* Bodies of threads. Each passes the gate, works until it is stopped or done, and closes its connection. */
void *produce(void *producer_);
void *produce_swarm(void *producer_);
void *consume(void *consumer_);
void *call(void *producer_);
void *serve(void *consumer_);
void *churn(void *producer_);

/* Subscribe to a queue (to several with --subscriptions, --subscribe-all) and make the wire from the connection. */
void subscribe(wire *l, amqp_connection_state_t c, int queue, bool no_ack);
void subscribe_replies(wire *l, amqp_connection_state_t c);

/* The connections of a swarm's thread. */
void swarm_open(producer *p);

/* --idle: the whole run. Returns the exit code. */
int run_idle(void);

static inline void run_failed(void) { atomic_store(&run.failed, true); }
static inline bool should_stop(const producer *p, u64 sent) {
    return atomic_load_explicit(&run.stop_publishing, memory_order_relaxed) || (p->limit && sent >= p->limit);
}

/* When messages are due: `rate` of them a second from `start_ns`, in bursts of a tick where the rate is high. */
typedef struct {
    u64 start_ns, tick_ns;
    double gap_ns; /* 0: no rate, nothing is ever early */
} pace;

pace pace_of(const producer *p);
static inline u64 pace_due(const pace *c, u64 index) {
    return c->start_ns + ((u64)((double)index * c->gap_ns) + c->tick_ns - 1) / c->tick_ns * c->tick_ns;
}
/* How many are due by now. */
static inline u64 pace_count(const pace *c, u64 now) {
    if (now < c->start_ns) return 0;
    return (u64)((double)((now - c->start_ns) / c->tick_ns * c->tick_ns) / c->gap_ns) + 1;
}

/* Send times of messages that are not confirmed, by delivery tag; 0 = confirmed. A window of confirms is never more than
 * a quarter of it, so that out-of-order confirms do not stop the producer. */
typedef struct {
    u64 *sent_ns;
    u64 mask, low, sent, done; /* `low`: the lowest tag that is not confirmed; `sent`: the highest in use */
} window;

void window_open(window *w, u64 size);
void window_confirm(producer *p, window *w, u64 tag, bool multiple, bool nack, u64 now);

/* Read and obey what the broker sent to a producer; false if the connection is lost or closed. */
bool producer_input(producer *p, wire *l, window *w);

#endif
