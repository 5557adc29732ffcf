/* What a run found, and how it is told: one line of JSON (--json), or text. bench/README.md describes each field. */
#ifndef REPORT_H
#define REPORT_H

#include "process.h"
#include "workers.h"

/* Sums over all threads, and what main.c measured around them. */
typedef struct {
    u64 sent, confirmed, nacked, returned, blocked, writes;
    u64 got, unique, duplicates, redelivered, disordered, foreign, bad_bodies, cancelled, reads, bytes;
    i64 lost;
    u64 sent_last_ns, confirmed_last_ns, got_last_ns;
    u64 producers_cpu_ns, consumers_cpu_ns;
    histogram latency, answers;
    double elapsed_s, client_cpu_s, broker_cpu_s, other_cpu_percent;
    double steady_sent_per_s, steady_got_per_s; /* after --warmup, while publishing; 0: there was none */
    u64 backlog; /* when publishing ended */
    u64 rss_start_kb, rss_peak_kb, rss_end_kb;
    bool ok;
} totals;

typedef struct {
    int connections;
    double connecting_s, idle_s;
    u64 connecting_cpu_ns, idle_cpu_ns, rss_before_kb, rss_idle_kb, rss_peak_kb;
} idle_figures;

/* Sum up what the threads counted; they have ended. Fills the first part of `t`, and judges it. */
void totals_sum(totals *t);

void report(const totals *t);
void report_idle(const idle_figures *f);

#endif
