/* --idle: many connections with a channel each, and nothing on them. */
#include "process.h"
#include "report.h"
#include "workers.h"

#include <unistd.h>

int run_idle(void) {
    int *held = zeroed(sizeof(int) * (size_t)opt.idle);
    idle_figures f = {0};
    broker_cpu_start();
    nap(0.5);
    f.rss_before_kb = broker_rss_kb();
    u64 began = now_ns();
    for (; f.connections < opt.idle; f.connections++) {
        amqp_connection_state_t c;
        const char *why = connect_try(&c, f.connections, true);
        if (why) {
            warn("connection %d: %s", f.connections, why);
            break;
        }
        held[f.connections] = connect_release(c);
    }
    f.connecting_s = seconds_between(began, now_ns());
    f.connecting_cpu_ns = broker_cpu_ns();
    f.idle_s = opt.duration_s > 0 ? opt.duration_s : 5;
    broker_cpu_start();
    u64 idle_began = now_ns();
    while (seconds_between(idle_began, now_ns()) < f.idle_s) {
        nap(0.1);
        f.rss_idle_kb = broker_rss_kb();
        if (f.rss_idle_kb > f.rss_peak_kb) f.rss_peak_kb = f.rss_idle_kb;
    }
    f.idle_cpu_ns = broker_cpu_ns();
    for (int i = 0; i < f.connections; i++) close_hastily(held[i]);
    report_idle(&f);
    return f.connections == opt.idle ? 0 : 1;
}
