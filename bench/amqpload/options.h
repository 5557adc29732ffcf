/* The command line. README.md of bench/ describes every flag. Read once, before the first thread; constant afterwards. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "base.h"

#include <sys/types.h>

enum { PORTS_MAX = 16, PIDS_MAX = 64, ARGUMENTS_MAX = 16 };
enum { STAMP_SIZE = 16 }; /* what a body begins with, see publish.h */

enum churn { CHURN_NONE, CHURN_CONNECTIONS, CHURN_CHANNELS, CHURN_QUEUES };

struct options {
    /* where */
    const char *host, *user, *password, *vhost;
    int ports[PORTS_MAX], nports;
    int frame_max;
    /* who */
    int producers, consumers, inflight;
    int swarm;            /* connections that publish, shared out among the producers' threads */
    int idle_connections; /* held open beside the traffic */
    int subscriptions;    /* of each consumer to its queue */
    bool subscribe_all;   /* consumers share out all queues */
    /* what */
    int size, headers, batch, tick_us;
    double rate, duration_s, warmup_s, drain_timeout_s;
    u64 count;
    bool persistent, mandatory, verify, any_run;
    int confirm;
    /* how it is taken */
    int prefetch, multi_ack;
    bool auto_ack;
    double consume_rate;
    /* topology */
    int queues, bindings, fanout;
    const char *queue_name, *queue_type, *exchange, *exchange_type, *routing_key, *stream_offset;
    char *queue_arguments[ARGUMENTS_MAX];
    int nqueue_arguments;
    bool durable, keep, no_declare;
    /* other modes */
    bool rpc;
    enum churn churn;
    int idle;
    /* output */
    pid_t pids[PIDS_MAX], trees[PIDS_MAX];
    int npids, ntrees;
    bool json, verbose;
    const char *label;
};

extern struct options opt;

/* Fill `opt`. Ends the program: code 0 after --help, 2 after a mistake. */
void options_read(int argc, char **argv);

static inline bool is_stream(void) { return opt.queue_type[0] == 's'; }
static inline bool is_drain(void) { return !opt.producers && !opt.churn; }
static inline bool is_stamped(void) { return opt.size >= STAMP_SIZE; }

#endif
