#include "topology.h"

#include "options.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct topology topo = {.exchange = ""};

static bool is_durable(void) {
    return opt.durable || opt.persistent || is_stream() || !strcmp(opt.queue_type, "quorum");
}

static amqp_table_entry_t entry(char *key, const char *value) {
    amqp_table_entry_t e = {.key = bytes_of(key)};
    char *end;
    long long number = strtoll(value, &end, 10);
    if (*value && !*end) {
        e.value.kind = AMQP_FIELD_KIND_I64;
        e.value.value.i64 = number;
    } else {
        e.value.kind = AMQP_FIELD_KIND_UTF8;
        e.value.value.bytes = bytes_of(value);
    }
    return e;
}

/* Made once, by the first declaration, before there are threads; churn's threads come after it. */
static amqp_table_t queue_arguments(void) {
    static amqp_table_entry_t entries[ARGUMENTS_MAX + 1];
    static amqp_table_t table;
    static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&once);
    if (!table.entries) {
        table.entries = entries;
        if (*opt.queue_type) entries[table.num_entries++] = entry("x-queue-type", opt.queue_type);
        for (int i = 0; i < opt.nqueue_arguments; i++) {
            char *key = strdup(opt.queue_arguments[i]), *equals = strchr(key, '=');
            *equals = 0;
            entries[table.num_entries++] = entry(key, equals + 1);
        }
    }
    pthread_mutex_unlock(&once);
    return table;
}

static void send(amqp_connection_state_t c, amqp_method_number_t method, void *arguments, const char *call) {
    int error = amqp_send_method(c, CHANNEL, method, arguments);
    if (error) die("%s: %s", call, amqp_error_string2(error));
}

void declare_queue(amqp_connection_state_t c, const char *name, bool nowait) {
    if (nowait) {
        amqp_queue_declare_t m = {.queue = bytes_of(name), .durable = is_durable(), .nowait = 1, .arguments = queue_arguments()};
        send(c, AMQP_QUEUE_DECLARE_METHOD, &m, "queue.declare");
        return;
    }
    amqp_queue_declare(c, CHANNEL, bytes_of(name), 0, is_durable(), 0, 0, queue_arguments());
    check_reply(c, "queue.declare");
}

static void delete_queue(amqp_connection_state_t c, const char *name, bool nowait) {
    if (nowait) {
        amqp_queue_delete_t m = {.queue = bytes_of(name), .nowait = 1};
        send(c, AMQP_QUEUE_DELETE_METHOD, &m, "queue.delete");
        return;
    }
    amqp_queue_delete(c, CHANNEL, bytes_of(name), 0, 0);
    check_reply(c, "queue.delete");
}

/* The last of many waits for its answer: then all before it were obeyed, or the channel is closed and this tells why. */
static void make_queues(amqp_connection_state_t c) {
    topo.nqueues = opt.fanout ? opt.fanout : opt.queues;
    topo.queues = zeroed(sizeof(char *) * (size_t)topo.nqueues);
    for (int i = 0; i < topo.nqueues; i++) {
        bool last = i == topo.nqueues - 1;
        if (!opt.queue_name) topo.queues[i] = text("amqpload.%d.%d", (int)getpid(), i);
        else if (topo.nqueues == 1) topo.queues[i] = text("%s", opt.queue_name);
        else topo.queues[i] = text("%s.%d", opt.queue_name, i);
        if (opt.no_declare) continue;
        if (!opt.queue_name) delete_queue(c, topo.queues[i], !last); /* a queue that an earlier run of this id left */
        declare_queue(c, topo.queues[i], !last);
    }
}

static void declare_exchange(amqp_connection_state_t c) {
    if (!opt.queue_name) {
        amqp_exchange_delete(c, CHANNEL, bytes_of(topo.exchange), 0);
        check_reply(c, "exchange.delete");
    }
    amqp_exchange_declare(c, CHANNEL, bytes_of(topo.exchange), bytes_of(opt.exchange_type), 0, is_durable(), 0, 0, amqp_empty_table);
    check_reply(c, "exchange.declare");
}

static void bind(amqp_connection_state_t c, const char *queue, const char *key, bool nowait) {
    if (nowait) {
        amqp_queue_bind_t m = {.queue = bytes_of(queue), .exchange = bytes_of(topo.exchange), .routing_key = bytes_of(key), .nowait = 1};
        send(c, AMQP_QUEUE_BIND_METHOD, &m, "queue.bind");
        return;
    }
    amqp_queue_bind(c, CHANNEL, bytes_of(queue), bytes_of(topo.exchange), bytes_of(key), amqp_empty_table);
    check_reply(c, "queue.bind");
}

/* Topic patterns come in four shapes; every routing key matches exactly one of them. */
static char *binding_key(int i, const char *key) {
    if (!opt.bindings || strcmp(opt.exchange_type, "topic")) return text("%s", key);
    switch (i & 3) {
    case 1: return text("t.%d.*", i);
    case 2: return text("t.%d.#", i);
    case 3: return text("*.%d.x", i);
    default: return text("t.%d.x", i);
    }
}

static void make_bindings(amqp_connection_state_t c) {
    int bindings = opt.bindings ? opt.bindings : topo.nqueues;
    topo.nkeys = opt.bindings ? opt.bindings : 1;
    topo.keys = zeroed(sizeof(char *) * (size_t)topo.nkeys);
    for (int i = 0; i < bindings; i++) {
        char *key = opt.bindings ? text("t.%d.x", i) : text("%s", opt.routing_key ? opt.routing_key : "amqpload");
        char *bound = binding_key(i, key);
        if (!opt.no_declare) bind(c, topo.queues[i % topo.nqueues], bound, i < bindings - 1);
        if (i < topo.nkeys) topo.keys[i] = key;
        else free(key);
        free(bound);
    }
}

void topology_make(amqp_connection_state_t c) {
    make_queues(c);
    if (opt.fanout) {
        opt.exchange_type = "fanout";
        if (!opt.exchange) opt.exchange = text("amqpload.fanout.%d", (int)getpid());
    }
    if (!opt.exchange) {
        topo.keys = topo.queues;
        topo.nkeys = topo.nqueues;
        return;
    }
    topo.exchange = opt.exchange;
    if (!opt.no_declare) declare_exchange(c);
    make_bindings(c);
}

void topology_delete(amqp_connection_state_t c) {
    if (opt.keep || opt.no_declare) return;
    for (int i = 0; i < topo.nqueues; i++) delete_queue(c, topo.queues[i], i < topo.nqueues - 1);
    if (!*topo.exchange || !strncmp(topo.exchange, "amq.", 4)) return;
    amqp_exchange_delete(c, CHANNEL, bytes_of(topo.exchange), 0);
    check_reply(c, "exchange.delete");
}
