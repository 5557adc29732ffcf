/* amqpload: a load generator for AMQP 0-9-1 brokers that costs little itself, so that what it measures is the broker.
 *
 * One connection and one thread for each producer and each consumer (a swarm has many connections to a thread). The main
 * thread declares, starts them, looks on fifty times a second until all is done, and reports. */
#include "process.h"
#include "report.h"
#include "workers.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

struct run run;

#define LOOK_EVERY_S 0.02
#define LATE_DUPLICATES_S 0.05
#define SETTLING_S 0.15 /* from the start of the threads to the first message */

/* What the main thread saw. Times are 0 until their moment comes. */
typedef struct {
    u64 now, sent, confirmed, got, refused;
    u64 moved_ns; /* when `got` last changed */
    u64 warm_ns, warm_sent, warm_got;
    u64 published_ns, published_sent, published_got; /* when publishing ended */
    u64 told_ns, told_sent, told_got;                /* --verbose */
    u64 rss_peak_kb;
} view;

static u64 copies(void) { return opt.fanout ? (u64)opt.fanout : 1; }

static void look(view *v) {
    u64 got_before = v->got, rss = broker_rss_kb();
    v->now = now_ns();
    v->sent = v->confirmed = v->got = v->refused = 0;
    for (int i = 0; i < opt.producers; i++) {
        producer *p = &run.producers[i];
        v->sent += atomic_load(&p->sent);
        v->confirmed += atomic_load(&p->confirmed);
        v->refused += p->nacked + p->returned;
    }
    for (int i = 0; i < opt.consumers; i++) v->got += atomic_load(&run.consumers[i].got);
    if (v->got != got_before) v->moved_ns = v->now;
    if (rss > v->rss_peak_kb) v->rss_peak_kb = rss;
}

static void tell(view *v) {
    if (!opt.verbose || v->now - v->told_ns < NS_PER_S) return;
    double s = seconds_between(v->told_ns, v->now);
    fprintf(stderr, "  %6.1fs sent %.0f/s got %.0f/s backlog %lld rss %.0f MiB\n", seconds_between(run.start_ns, v->now),
            (double)(v->sent - v->told_sent) / s, (double)(v->got - v->told_got) / s, (long long)(v->sent * copies() - v->got),
            (double)broker_rss_kb() / KIB);
    v->told_ns = v->now;
    v->told_sent = v->sent;
    v->told_got = v->got;
}

static void end_publishing(view *v) {
    atomic_store(&run.stop_publishing, true);
    v->published_ns = v->moved_ns = v->now;
    v->published_sent = v->sent;
    v->published_got = v->got;
}

/* Whether there is nothing more to send; in a drain, nothing more to fetch. */
static bool publishing_is_over(const view *v) {
    if (atomic_load(&run.failed)) return true;
    if (opt.duration_s > 0 && seconds_between(run.start_ns, v->now) >= opt.duration_s) return true;
    if (is_drain() && v->got && seconds_between(v->moved_ns, v->now) > opt.drain_timeout_s) return true;
    return opt.count && (is_drain() ? v->got : v->sent) >= opt.count;
}

/* Whether all that was sent has been answered and fetched, or nothing has moved for too long. */
static bool is_over(const view *v) {
    if (opt.churn || opt.rpc || is_drain()) return true;
    bool settled = !opt.confirm || v->confirmed >= v->sent;
    if (!opt.consumers) {
        if (settled) return true;
    } else if (settled && v->got >= (v->sent - v->refused) * copies()) {
        return true;
    }
    if (atomic_load(&run.failed)) return true;
    bool stuck = seconds_between(v->moved_ns, v->now) > opt.drain_timeout_s;
    if (stuck && (settled || seconds_between(v->published_ns, v->now) > opt.drain_timeout_s)) return true;
    return opt.consumers && !atomic_load(&run.consumers_alive);
}

static void look_on(view *v) {
    v->moved_ns = v->told_ns = now_ns();
    do {
        nap(LOOK_EVERY_S);
        look(v);
        tell(v);
        if (!v->warm_ns && opt.warmup_s > 0 && !is_drain() && v->now >= run.warm_ns) {
            v->warm_ns = v->now;
            v->warm_sent = v->sent;
            v->warm_got = v->got;
        }
        if (!v->published_ns && publishing_is_over(v)) end_publishing(v);
    } while (!v->published_ns || !is_over(v));
}

static void start_consumers(void) {
    atomic_store(&run.consumers_alive, opt.consumers);
    for (int i = 0; i < opt.consumers; i++) {
        consumer *c = &run.consumers[i];
        c->id = i;
        c->queue = i % topo.nqueues;
        subscribe(&c->wire, connect_or_die(i, true), c->queue, opt.rpc || opt.auto_ack);
        thread_start(&c->thread, opt.rpc ? serve : consume, c);
    }
}

static void start_producers(void) {
    void *(*body)(void *) = opt.churn ? churn : opt.rpc ? call : opt.swarm ? produce_swarm : produce;
    int spread = opt.nports > 1; /* with several nodes, a producer and its consumer are on different ones */
    for (int i = 0; i < opt.producers; i++) {
        producer *p = &run.producers[i];
        u64 n = (u64)opt.producers;
        p->id = i;
        p->limit = opt.count ? opt.count / n + ((u64)i < opt.count % n) : 0;
        if (opt.count && !p->limit) p->limit = 1; /* 0 would be no limit */
        if (opt.swarm) {
            swarm_open(p);
        } else if (!opt.churn) {
            amqp_connection_state_t c = connect_or_die(i + spread, true);
            if (opt.confirm && !opt.rpc) {
                amqp_confirm_select(c, CHANNEL);
                check_reply(c, "confirm.select");
            }
            if (opt.rpc) subscribe_replies(&p->wire, c);
            else connect_wire(&p->wire, c);
        }
        thread_start(&p->thread, body, p);
    }
}

static void allocate(void) {
    size_t maps = (size_t)(opt.subscribe_all ? 1 : topo.nqueues) * (size_t)opt.producers;
    run.id = (u16)((now_ns() >> 10) ^ (u64)getpid());
    run.producers = zeroed_lines((size_t)opt.producers + 1, sizeof(producer));
    run.consumers = zeroed_lines((size_t)opt.consumers + 1, sizeof(consumer));
    run.pattern = zeroed((size_t)opt.size + 1);
    for (int i = 0; i < opt.size; i++) run.pattern[i] = (u8)('a' + i % 26);
    run.seen = zeroed(sizeof(seen_map *) * (maps + 1));
    if (!opt.consumers || opt.rpc) return;
    for (size_t i = 0; i < maps; i++) run.seen[i] = zeroed(sizeof(seen_map));
}

static double own_cpu_s(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Percent of the machine's CPU that neither this program nor the broker used: how far to trust the figures. */
static double others_percent(machine_time from, machine_time to, double own_s, double broker_s) {
    double busy = (double)(to.busy - from.busy), all = busy + (double)(to.idle - from.idle);
    double others = all > 0 ? 100 * (busy - 100 * (own_s + broker_s)) / all : 0;
    return others > 0 ? others : 0;
}

/* Let the threads go, look on until all is done, and wait for their end. */
static void measure(totals *t) {
    view v = {0};
    u64 drain_began = now_ns();
    if (is_drain()) broker_cpu_start(); /* deliveries begin with the subscription */
    start_consumers();
    start_producers();
    if (!is_drain()) {
        nap(SETTLING_S);
        broker_cpu_start();
    }
    machine_time machine = machine_now();
    double own = own_cpu_s();
    t->rss_start_kb = v.rss_peak_kb = broker_rss_kb();
    run.start_ns = is_drain() ? drain_began : now_ns();
    run.warm_ns = opt.warmup_s > 0 && !is_drain() ? run.start_ns + (u64)(opt.warmup_s * 1e9) : 0;
    gate_pass(&run.gate);
    look_on(&v);
    u64 ended = v.now;
    if (opt.consumers && !is_drain() && !opt.rpc) nap(LATE_DUPLICATES_S);
    for (int i = 0; i < opt.producers; i++) pthread_join(run.producers[i].thread, NULL);
    if (!opt.consumers && !opt.churn) ended = now_ns();
    t->broker_cpu_s = (double)broker_cpu_ns() / 1e9;
    t->client_cpu_s = own_cpu_s() - own;
    t->other_cpu_percent = others_percent(machine, machine_now(), t->client_cpu_s, t->broker_cpu_s);
    t->rss_end_kb = broker_rss_kb();
    t->rss_peak_kb = v.rss_peak_kb;
    atomic_store(&run.stop_all, true);
    for (int i = 0; i < opt.consumers; i++) pthread_join(run.consumers[i].thread, NULL);
    t->elapsed_s = seconds_between(run.start_ns, ended);
    if (v.published_sent * copies() > v.published_got) t->backlog = v.published_sent * copies() - v.published_got;
    double steady_s = v.warm_ns ? seconds_between(v.warm_ns, v.published_ns) : 0;
    if (steady_s > 0) {
        t->steady_sent_per_s = (double)(v.published_sent - v.warm_sent) / steady_s;
        t->steady_got_per_s = (double)(v.published_got - v.warm_got) / steady_s;
    }
}

static void open_many_files(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv) {
    options_read(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    open_many_files();
    broker_find();
    if (opt.idle) return run_idle();
    amqp_connection_state_t control = connect_or_die(0, true);
    if (!opt.churn) topology_make(control);
    else topo.nqueues = 1;
    allocate();
    hold_open(opt.idle_connections);
    gate_set(&run.gate, opt.producers + opt.consumers + 1);
    totals t = {0};
    measure(&t);
    totals_sum(&t);
    let_go();
    if (!opt.churn) topology_delete(control);
    connect_close(control);
    report(&t);
    return t.ok ? 0 : 1;
}
