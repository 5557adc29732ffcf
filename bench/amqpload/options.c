#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options opt = {
    .host = "127.0.0.1", .user = "guest", .password = "guest", .vhost = "/", .frame_max = 131072,
    .producers = 1, .consumers = 1, .inflight = 1, .subscriptions = 1,
    .size = 16, .batch = 65536, .tick_us = 1000, .drain_timeout_s = 10, .multi_ack = 1,
    .queues = 1, .queue_type = "", .exchange_type = "direct", .stream_offset = "first", .label = "",
};

static const char USAGE[] =
    "amqpload [options]                                  (every option: bench/README.md)\n"
    " --host H --port P[,P2..] --user U --pass P --vhost V --frame-max BYTES\n"
    "                         connections go round-robin over the ports; default 5672\n"
    " --producers N --consumers N                            0 producers = drain; 0 consumers = publish only\n"
    " --size BYTES --headers BYTES --rate R (of each producer, 0 = unlimited) --count N (in total)\n"
    " --duration S --warmup S --batch BYTES --tick US --drain-timeout S\n"
    " --persistent --mandatory --confirm WINDOW (0 = none) --verify --any-run\n"
    " --prefetch N --autoack --multi-ack K --consume-rate R (of each consumer) --subscriptions N --subscribe-all\n"
    " --queues N --queue-name NAME --queue-type classic|quorum|stream --queue-arg KEY=VALUE --durable\n"
    " --exchange NAME --etype TYPE --routing-key KEY --bindings B --fanout N --keep --no-declare\n"
    " --stream-offset first|last|next|N\n"
    " --swarm N               N connections publish one message each, and the next when it is confirmed\n"
    " --idle-connections N    N more connections are open while the traffic flows\n"
    " --rpc [--inflight M]    request and reply over amq.rabbitmq.reply-to: producers call, consumers serve\n"
    " --connections-churn | --channels-churn | --queue-churn   as many threads as producers\n"
    " --idle N                open N connections with a channel, hold them for --duration\n"
    " --broker-pid PID --broker-tree PID (and what it started) --json --label TEXT --verbose";

enum flag {
    HOST = 256, PORT, USER, PASS, VHOST, FRAME_MAX, PRODUCERS, CONSUMERS, INFLIGHT, SWARM, IDLE_CONNECTIONS, SUBSCRIPTIONS,
    SUBSCRIBE_ALL, SIZE, HEADERS, BATCH, TICK, RATE, DURATION, WARMUP, DRAIN_TIMEOUT, COUNT, PERSISTENT, MANDATORY, VERIFY,
    ANY_RUN, CONFIRM, PREFETCH, MULTI_ACK, AUTOACK, CONSUME_RATE, QUEUES, BINDINGS, FANOUT, QUEUE_NAME, QUEUE_TYPE, EXCHANGE,
    ETYPE, ROUTING_KEY, STREAM_OFFSET, QUEUE_ARG, DURABLE, KEEP, NO_DECLARE, RPC, CONNECTIONS_CHURN, CHANNELS_CHURN,
    QUEUE_CHURN, IDLE, BROKER_PID, BROKER_TREE, JSON, VERBOSE, LABEL, HELP
};

static const struct option FLAGS[] = {
    {"host", 1, 0, HOST}, {"port", 1, 0, PORT}, {"user", 1, 0, USER}, {"pass", 1, 0, PASS}, {"vhost", 1, 0, VHOST},
    {"frame-max", 1, 0, FRAME_MAX}, {"producers", 1, 0, PRODUCERS}, {"consumers", 1, 0, CONSUMERS},
    {"inflight", 1, 0, INFLIGHT}, {"swarm", 1, 0, SWARM}, {"idle-connections", 1, 0, IDLE_CONNECTIONS},
    {"subscriptions", 1, 0, SUBSCRIPTIONS}, {"subscribe-all", 0, 0, SUBSCRIBE_ALL}, {"size", 1, 0, SIZE},
    {"headers", 1, 0, HEADERS}, {"batch", 1, 0, BATCH}, {"tick", 1, 0, TICK}, {"rate", 1, 0, RATE},
    {"duration", 1, 0, DURATION}, {"warmup", 1, 0, WARMUP}, {"drain-timeout", 1, 0, DRAIN_TIMEOUT},
    {"count", 1, 0, COUNT}, {"persistent", 0, 0, PERSISTENT}, {"mandatory", 0, 0, MANDATORY}, {"verify", 0, 0, VERIFY},
    {"any-run", 0, 0, ANY_RUN}, {"confirm", 1, 0, CONFIRM}, {"prefetch", 1, 0, PREFETCH}, {"multi-ack", 1, 0, MULTI_ACK},
    {"autoack", 0, 0, AUTOACK}, {"consume-rate", 1, 0, CONSUME_RATE}, {"queues", 1, 0, QUEUES},
    {"bindings", 1, 0, BINDINGS}, {"fanout", 1, 0, FANOUT}, {"queue-name", 1, 0, QUEUE_NAME},
    {"queue-type", 1, 0, QUEUE_TYPE}, {"exchange", 1, 0, EXCHANGE}, {"etype", 1, 0, ETYPE},
    {"routing-key", 1, 0, ROUTING_KEY}, {"stream-offset", 1, 0, STREAM_OFFSET}, {"queue-arg", 1, 0, QUEUE_ARG},
    {"durable", 0, 0, DURABLE}, {"keep", 0, 0, KEEP}, {"no-declare", 0, 0, NO_DECLARE}, {"rpc", 0, 0, RPC},
    {"connections-churn", 0, 0, CONNECTIONS_CHURN}, {"channels-churn", 0, 0, CHANNELS_CHURN},
    {"queue-churn", 0, 0, QUEUE_CHURN}, {"idle", 1, 0, IDLE}, {"broker-pid", 1, 0, BROKER_PID},
    {"broker-tree", 1, 0, BROKER_TREE}, {"json", 0, 0, JSON}, {"verbose", 0, 0, VERBOSE}, {"label", 1, 0, LABEL},
    {"help", 0, 0, HELP}, {0, 0, 0, 0},
};

static void leave(int code) {
    puts(USAGE);
    exit(code);
}

static double number(const char *value, const char *flag) {
    char *end;
    double n = strtod(value, &end);
    if (*end || end == value || n < 0) {
        warn("--%s wants a number that is not negative, not %s", flag, value);
        exit(2);
    }
    return n;
}

static int whole(const char *value, const char *flag) {
    double n = number(value, flag);
    if (n > 2147483647 || n != (double)(int)n) {
        warn("--%s wants a whole number below 2^31, not %s", flag, value);
        exit(2);
    }
    return (int)n;
}

static void add_ports(char *list) {
    for (char *p = strtok(list, ","); p; p = strtok(NULL, ",")) {
        if (opt.nports == PORTS_MAX) die("at most %d ports", PORTS_MAX);
        opt.ports[opt.nports++] = whole(p, "port");
    }
}

static void add_pid(pid_t *list, int *length, int pid) {
    if (*length == PIDS_MAX) die("at most %d processes", PIDS_MAX);
    list[(*length)++] = pid;
}

static void add_queue_argument(char *argument) {
    if (opt.nqueue_arguments == ARGUMENTS_MAX) die("at most %d queue arguments", ARGUMENTS_MAX);
    if (!strchr(argument, '=')) die("--queue-arg wants KEY=VALUE, not %s", argument);
    opt.queue_arguments[opt.nqueue_arguments++] = argument;
}

/* Flags that say who talks to whom; false if it is another one. */
static bool take_topology(int flag, const char *name) {
    switch (flag) {
    case HOST: opt.host = optarg; break;
    case PORT: add_ports(optarg); break;
    case USER: opt.user = optarg; break;
    case PASS: opt.password = optarg; break;
    case VHOST: opt.vhost = optarg; break;
    case FRAME_MAX: opt.frame_max = whole(optarg, name); break;
    case PRODUCERS: opt.producers = whole(optarg, name); break;
    case CONSUMERS: opt.consumers = whole(optarg, name); break;
    case SWARM: opt.swarm = whole(optarg, name); break;
    case IDLE_CONNECTIONS: opt.idle_connections = whole(optarg, name); break;
    case SUBSCRIPTIONS: opt.subscriptions = whole(optarg, name); break;
    case SUBSCRIBE_ALL: opt.subscribe_all = true; break;
    case QUEUES: opt.queues = whole(optarg, name); break;
    case BINDINGS: opt.bindings = whole(optarg, name); break;
    case FANOUT: opt.fanout = whole(optarg, name); break;
    case QUEUE_NAME: opt.queue_name = optarg; break;
    case QUEUE_TYPE: opt.queue_type = optarg; break;
    case QUEUE_ARG: add_queue_argument(optarg); break;
    case EXCHANGE: opt.exchange = optarg; break;
    case ETYPE: opt.exchange_type = optarg; break;
    case ROUTING_KEY: opt.routing_key = optarg; break;
    case DURABLE: opt.durable = true; break;
    case KEEP: opt.keep = true; break;
    case NO_DECLARE: opt.no_declare = true; break;
    default: return false;
    }
    return true;
}

/* Flags of what is sent, how fast, how it is taken and what is told of it; false if it is another one. */
static bool take_traffic(int flag, const char *name) {
    switch (flag) {
    case SIZE: opt.size = whole(optarg, name); break;
    case HEADERS: opt.headers = whole(optarg, name); break;
    case BATCH: opt.batch = whole(optarg, name); break;
    case TICK: opt.tick_us = whole(optarg, name); break;
    case RATE: opt.rate = number(optarg, name); break;
    case DURATION: opt.duration_s = number(optarg, name); break;
    case WARMUP: opt.warmup_s = number(optarg, name); break;
    case DRAIN_TIMEOUT: opt.drain_timeout_s = number(optarg, name); break;
    case COUNT: opt.count = (u64)number(optarg, name); break;
    case PERSISTENT: opt.persistent = true; break;
    case MANDATORY: opt.mandatory = true; break;
    case VERIFY: opt.verify = true; break;
    case ANY_RUN: opt.any_run = true; break;
    case CONFIRM: opt.confirm = whole(optarg, name); break;
    case PREFETCH: opt.prefetch = whole(optarg, name); break;
    case MULTI_ACK: opt.multi_ack = whole(optarg, name); break;
    case AUTOACK: opt.auto_ack = true; break;
    case CONSUME_RATE: opt.consume_rate = number(optarg, name); break;
    case STREAM_OFFSET: opt.stream_offset = optarg; break;
    case INFLIGHT: opt.inflight = whole(optarg, name); break;
    case RPC: opt.rpc = true; break;
    case CONNECTIONS_CHURN: opt.churn = CHURN_CONNECTIONS; break;
    case CHANNELS_CHURN: opt.churn = CHURN_CHANNELS; break;
    case QUEUE_CHURN: opt.churn = CHURN_QUEUES; break;
    case IDLE: opt.idle = whole(optarg, name); break;
    case BROKER_PID: add_pid(opt.pids, &opt.npids, whole(optarg, name)); break;
    case BROKER_TREE: add_pid(opt.trees, &opt.ntrees, whole(optarg, name)); break;
    case JSON: opt.json = true; break;
    case VERBOSE: opt.verbose = true; break;
    case LABEL: opt.label = optarg; break;
    default: return false;
    }
    return true;
}

/* What one flag means for another. */
static void settle(void) {
    if (!opt.nports) opt.ports[opt.nports++] = 5672;
    if (opt.multi_ack < 1) opt.multi_ack = 1;
    if (opt.inflight < 1) opt.inflight = 1;
    if (opt.subscriptions < 1) opt.subscriptions = 1;
    if (opt.queues < 1) opt.queues = 1;
    if (is_stream() && opt.auto_ack) die("streams need acknowledgements: leave --autoack out");
    if (is_stream() && !opt.prefetch) opt.prefetch = 1000;
    if (opt.frame_max < 4096) die("--frame-max wants 4096 at least");
    if (opt.headers > opt.frame_max - 256) die("--headers %d do not fit into a frame of %d", opt.headers, opt.frame_max);
    if (opt.rpc && !is_stamped()) die("--rpc wants --size %d at least", STAMP_SIZE);
    if (opt.swarm && (opt.rpc || opt.churn)) die("--swarm publishes: it goes with neither --rpc nor churn");
    if (opt.swarm && opt.mandatory) die("--swarm reads confirms only: leave --mandatory out");
    if (opt.swarm && opt.producers > opt.swarm) die("--swarm wants a connection for each of the %d producers", opt.producers);
    if (opt.swarm) opt.confirm = opt.inflight;
    if (opt.subscribe_all && opt.fanout) die("--subscribe-all and --fanout: a message in many queues would count as doubled");
    if (opt.subscribe_all && opt.subscriptions > 1) die("--subscribe-all wants one subscription to each queue");
    if (opt.duration_s <= 0 && !opt.count) opt.duration_s = 10;
    if (opt.churn) opt.consumers = 0;
    if (opt.churn && !opt.producers) opt.producers = 1;
    if (!opt.producers && !opt.no_declare && !opt.queue_name && !opt.idle) die("--producers 0 wants --queue-name");
}

void options_read(int argc, char **argv) {
    int index = 0;
    for (int flag; (flag = getopt_long(argc, argv, "h", FLAGS, &index)) != -1;) {
        if (flag == HELP || flag == 'h') leave(0);
        const char *name = FLAGS[index].name;
        if (!take_topology(flag, name) && !take_traffic(flag, name)) leave(2);
    }
    if (optind < argc) leave(2);
    settle();
}
