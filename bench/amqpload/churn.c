/* Things that come and go: connections, channels or queues, opened and closed one after the other by each thread. */
#include "workers.h"

#include <stdio.h>
#include <unistd.h>

enum { REFUSALS_MAX = 100 };

/* One connection with a channel; false if it was refused. */
static bool churn_connection(producer *p, u64 n) {
    amqp_connection_state_t c;
    const char *why = connect_try(&c, p->id + (int)n, true);
    if (why) {
        warn("%s", why);
        p->nacked++;
        run_failed();
        return false;
    }
    connect_close(c);
    return true;
}

static void churn_channel(amqp_connection_state_t c) {
    amqp_channel_open(c, 2);
    check_reply(c, "channel.open");
    amqp_channel_close(c, 2, AMQP_REPLY_SUCCESS);
}

static void churn_queue(amqp_connection_state_t c, const char *name) {
    declare_queue(c, name, false);
    amqp_queue_delete(c, CHANNEL, bytes_of(name), 0, 0);
    check_reply(c, "queue.delete");
}

void *churn(void *producer_) {
    producer *p = producer_;
    u64 n = 0;
    amqp_connection_state_t c = NULL;
    if (opt.churn != CHURN_CONNECTIONS) c = connect_or_die(p->id, opt.churn == CHURN_QUEUES);
    char *name = text("amqpload.churn.%d.%d", (int)getpid(), p->id);
    gate_pass(&run.gate);
    u64 began = now_ns();
    while (!should_stop(p, n) && p->nacked < REFUSALS_MAX) {
        u64 before = now_ns();
        if (opt.churn == CHURN_CONNECTIONS && !churn_connection(p, n)) continue;
        if (opt.churn == CHURN_CHANNELS) churn_channel(c);
        if (opt.churn == CHURN_QUEUES) churn_queue(c, name);
        p->sent_last_ns = now_ns();
        histogram_add(&p->answers, p->sent_last_ns - before);
        atomic_store(&p->sent, ++n);
        if (c) amqp_maybe_release_buffers(c);
        if (opt.rate <= 0) continue;
        u64 due = began + (u64)((double)n * 1e9 / opt.rate), now = now_ns();
        if (due > now) nap((double)(due - now) / 1e9);
    }
    p->confirmed_last_ns = p->sent_last_ns;
    atomic_store(&p->confirmed, n);
    p->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    if (c) connect_close(c);
    return NULL;
}
