#include "report.h"

#include <stdio.h>
#include <stdlib.h>

static bool first = true;

static void name(const char *key) {
    printf("%s\"%s\":", first ? "{" : ",", key);
    first = false;
}

static void number(const char *key, double value) {
    name(key);
    printf("%.6g", value);
}

static void integer(const char *key, u64 value) {
    name(key);
    printf("%llu", (unsigned long long)value);
}

static void string(const char *key, const char *value) {
    name(key);
    putchar('"');
    for (; *value; value++) {
        if (*value == '"' || *value == '\\') putchar('\\');
        if ((unsigned char)*value >= ' ') putchar(*value);
    }
    putchar('"');
}

static void distribution(const char *key, const histogram *h) {
    if (!h->n) return;
    if (opt.json) {
        name(key);
        printf("{\"n\":%llu,\"p50\":%.1f,\"p95\":%.1f,\"p99\":%.1f,\"p99.9\":%.1f,\"max\":%.1f,\"mean\":%.1f}", (unsigned long long)h->n,
               percentile_us(h, 50), percentile_us(h, 95), percentile_us(h, 99), percentile_us(h, 99.9), (double)h->max / 1e3, mean_us(h));
    } else {
        printf("%-18s p50 %.0f  p95 %.0f  p99 %.0f  p99.9 %.0f  max %.0f  mean %.0f us  (n=%llu)\n", key, percentile_us(h, 50),
               percentile_us(h, 95), percentile_us(h, 99), percentile_us(h, 99.9), (double)h->max / 1e3, mean_us(h), (unsigned long long)h->n);
    }
}

static double ratio(double a, double b) { return b > 0 ? a / b : 0; }

static double load(void) {
    double one_minute;
    return getloadavg(&one_minute, 1) == 1 ? one_minute : -1;
}

static const char *mode(void) {
    static const char *const CHURNS[] = {"", "connections-churn", "channels-churn", "queue-churn"};
    if (opt.churn) return CHURNS[opt.churn];
    if (opt.rpc) return "rpc";
    if (is_drain()) return "drain";
    return opt.consumers ? "pubsub" : "publish-only";
}

/* What the producers' histogram measures, in JSON and as text. */
static const char *answers_name(void) {
    if (opt.churn) return opt.json ? "op_us" : "operation";
    if (opt.rpc) return opt.json ? "rtt_us" : "round trip";
    return opt.json ? "confirm_us" : "confirm";
}

static void add_producer(totals *t, const producer *p) {
    t->sent += p->sent;
    t->confirmed += p->confirmed;
    t->nacked += p->nacked;
    t->returned += p->returned;
    t->blocked += p->blocked;
    t->writes += p->writes;
    t->producers_cpu_ns += p->cpu_ns;
    if (p->sent_last_ns > t->sent_last_ns) t->sent_last_ns = p->sent_last_ns;
    if (p->confirmed_last_ns > t->confirmed_last_ns) t->confirmed_last_ns = p->confirmed_last_ns;
    histogram_merge(&t->answers, &p->answers);
}

static void add_consumer(totals *t, const consumer *c) {
    t->got += c->got;
    t->unique += c->unique;
    t->duplicates += c->duplicates;
    t->redelivered += c->redelivered;
    t->disordered += c->disordered;
    t->foreign += c->foreign;
    t->bad_bodies += c->bad_bodies;
    t->cancelled += c->cancelled;
    t->reads += c->reads;
    t->bytes += c->bytes;
    t->consumers_cpu_ns += c->cpu_ns;
    if (c->got_last_ns > t->got_last_ns) t->got_last_ns = c->got_last_ns;
    if (!opt.rpc) histogram_merge(&t->latency, &c->latency);
}

void totals_sum(totals *t) {
    for (int i = 0; i < opt.producers; i++) add_producer(t, &run.producers[i]);
    for (int i = 0; i < opt.consumers; i++) add_consumer(t, &run.consumers[i]);
    if (!is_drain() && opt.consumers && !opt.rpc) { /* what was refused is not lost */
        u64 expected = (t->sent - t->nacked - t->returned) * (u64)(opt.fanout ? opt.fanout : 1);
        t->lost = expected > t->unique ? (i64)(expected - t->unique) : 0;
    }
    u64 excused = t->duplicates < t->redelivered ? t->duplicates : t->redelivered;
    bool disordered = t->disordered && opt.count;
    t->ok = !t->lost && t->duplicates == excused && !t->bad_bodies && !disordered && !atomic_load(&run.failed);
}

/* Seconds that publishing and consuming took. Without confirms publishing lasts until the broker has read everything. */
static double publishing_s(const totals *t) {
    bool until_closed = !opt.confirm && !opt.churn && !opt.rpc;
    double s = seconds_between(run.start_ns, until_closed ? t->confirmed_last_ns : t->sent_last_ns);
    return s > 0 ? s : 1e-9;
}

/* A drain begins with the subscription: what is in the buffers of sockets when the first read comes has been delivered. */
static double consuming_s(const totals *t) { return seconds_between(run.start_ns, t->got_last_ns); }

static void json(const totals *t) {
    double sent = (double)t->sent, got = (double)t->got;
    string("label", opt.label);
    string("mode", mode());
    integer("size", (u64)opt.size);
    integer("producers", (u64)opt.producers);
    integer("consumers", (u64)opt.consumers);
    number("elapsed_s", t->elapsed_s);
    integer("published", t->sent);
    integer("confirmed", t->confirmed);
    integer("consumed", t->got);
    integer("unique", t->unique);
    number("published_per_s", ratio(sent, publishing_s(t)));
    number("confirmed_per_s", ratio((double)t->confirmed, seconds_between(run.start_ns, t->confirmed_last_ns)));
    number("consumed_per_s", ratio(got, consuming_s(t)));
    if (t->steady_sent_per_s > 0) {
        number("steady_published_per_s", t->steady_sent_per_s);
        number("steady_consumed_per_s", t->steady_got_per_s);
    }
    integer("lost", (u64)t->lost);
    integer("duplicates", t->duplicates);
    integer("redelivered", t->redelivered);
    integer("out_of_order", t->disordered);
    integer("foreign", t->foreign);
    integer("bad_body", t->bad_bodies);
    integer("nacked", t->nacked);
    integer("returned", t->returned);
    integer("blocked", t->blocked);
    integer("backlog_at_publish_end", t->backlog);
    distribution("latency_us", &t->latency);
    distribution(answers_name(), &t->answers);
    number("client_cpu_s", t->client_cpu_s);
    number("producer_cpu_us_per_msg", ratio((double)t->producers_cpu_ns / 1e3, sent));
    number("consumer_cpu_us_per_msg", ratio((double)t->consumers_cpu_ns / 1e3, got));
    if (broker_processes()) {
        number("broker_cpu_s", t->broker_cpu_s);
        number("broker_cpu_us_per_published", ratio(t->broker_cpu_s * 1e6, sent));
        number("broker_cpu_us_per_delivered", ratio(t->broker_cpu_s * 1e6, got));
        number("broker_cpu_pct", ratio(t->broker_cpu_s * 100, t->elapsed_s));
        integer("broker_rss_start_kb", t->rss_start_kb);
        integer("broker_rss_peak_kb", t->rss_peak_kb);
        integer("broker_rss_end_kb", t->rss_end_kb);
    }
    number("other_cpu_pct_of_host", t->other_cpu_percent);
    number("loadavg", load());
    integer("ok", t->ok);
    puts("}");
}

static void prose(const totals *t) {
    double sent = (double)t->sent, got = (double)t->got, per_s = ratio(sent, publishing_s(t));
    printf("== %s [%s] size %d, %d producers, %d consumers, %d queues%s%s\n", opt.label, mode(), opt.size, opt.producers, opt.consumers,
           topo.nqueues, *opt.queue_type ? ", " : "", opt.queue_type);
    if (opt.churn) {
        printf("operations         %.0f in %.2f s = %.0f/s (failed %llu)\n", sent, publishing_s(t), per_s, (unsigned long long)t->nacked);
    } else {
        double confirmed_per_s = opt.confirm || opt.rpc ? ratio((double)t->confirmed, seconds_between(run.start_ns, t->confirmed_last_ns)) : 0;
        printf("published %.0f (%.0f/s)  confirmed %llu (%.0f/s)  consumed %.0f (%.0f/s, %.1f MB/s)  in %.2f s\n", sent, per_s,
               (unsigned long long)t->confirmed, confirmed_per_s, got, ratio(got, consuming_s(t)), ratio((double)t->bytes / 1e6, consuming_s(t)), t->elapsed_s);
        if (t->steady_sent_per_s > 0)
            printf("steady (after warm-up, while publishing): published %.0f/s consumed %.0f/s\n", t->steady_sent_per_s, t->steady_got_per_s);
        printf("lost %lld  duplicates %llu  redelivered %llu  out-of-order %llu  foreign %llu  bad bodies %llu  nacked %llu  returned %llu  "
               "blocked %llu  backlog at publish end %llu\n", (long long)t->lost, (unsigned long long)t->duplicates, (unsigned long long)t->redelivered,
               (unsigned long long)t->disordered, (unsigned long long)t->foreign, (unsigned long long)t->bad_bodies, (unsigned long long)t->nacked,
               (unsigned long long)t->returned, (unsigned long long)t->blocked, (unsigned long long)t->backlog);
    }
    distribution("latency", &t->latency);
    distribution(answers_name(), &t->answers);
    printf("client CPU %.2f s: producers %.2f us/msg (%.0f msgs/write), consumers %.2f us/msg (%.1f msgs/read)\n", t->client_cpu_s,
           ratio((double)t->producers_cpu_ns / 1e3, sent), ratio(sent, (double)t->writes), ratio((double)t->consumers_cpu_ns / 1e3, got),
           ratio(got, (double)t->reads));
    if (broker_processes())
        printf("broker CPU %.2f s (%.0f %%): %.2f us/published, %.2f us/delivered; RSS %.1f -> peak %.1f MiB (end %.1f)\n", t->broker_cpu_s,
               ratio(t->broker_cpu_s * 100, t->elapsed_s), ratio(t->broker_cpu_s * 1e6, sent), ratio(t->broker_cpu_s * 1e6, got),
               (double)t->rss_start_kb / KIB, (double)t->rss_peak_kb / KIB, (double)t->rss_end_kb / KIB);
    printf("other processes %.0f %% of the host's CPU, load %.2f%s\n", t->other_cpu_percent, load(), t->ok ? "" : "   ** NOT OK **");
}

void report(const totals *t) {
    if (opt.json) json(t);
    else prose(t);
}

void report_idle(const idle_figures *f) {
    double n = f->connections > 0 ? f->connections : 1;
    double cpu_us = (double)f->connecting_cpu_ns / 1e3 / n, kb = ((double)f->rss_idle_kb - (double)f->rss_before_kb) / n;
    double idle_percent = ratio((double)f->idle_cpu_ns / 1e7, f->idle_s);
    if (!opt.json) {
        printf("%s idle: %d connections (each 1 channel) opened in %.2f s (%.0f/s, broker %.0f us CPU each); broker RSS %.1f -> %.1f MiB "
               "(%.1f KiB each), peak %.1f MiB; broker idle CPU %.2f %%\n", opt.label, f->connections, f->connecting_s, ratio(n, f->connecting_s),
               cpu_us, (double)f->rss_before_kb / KIB, (double)f->rss_idle_kb / KIB, kb, (double)f->rss_peak_kb / KIB, idle_percent);
        return;
    }
    string("label", opt.label);
    string("mode", "idle");
    integer("connections", (u64)f->connections);
    number("connect_per_s", ratio(f->connections, f->connecting_s));
    number("broker_cpu_us_per_connect", cpu_us);
    integer("rss_before_kb", f->rss_before_kb);
    integer("rss_idle_kb", f->rss_idle_kb);
    integer("rss_peak_kb", f->rss_peak_kb);
    number("kb_per_connection", kb);
    number("idle_cpu_pct", idle_percent);
    puts("}");
}
