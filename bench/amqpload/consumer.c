/* A consumer: parses deliveries out of large reads, checks every stamp, and acknowledges. */
#include "publish.h"
#include "workers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { READ_TIMEOUT_US = 20000, ACKS_ROOM = MIB };

/* The delivery that is being read, and what the consumer remembers between deliveries. */
typedef struct {
    u64 tag, acked, got, left, at; /* `left` and `at`: of the body */
    bool redelivered, in_body, no_ack, shared;
    int queue; /* index among this consumer's queues */
    u8 stamp[STAMP_SIZE];
    u32 stamped;
    i64 *last; /* highest sequence number, [queue * producers + producer] */
    u8 *acks;
    size_t acks_size;
} taking;

static void send_consume(amqp_connection_state_t c, const char *queue, const char *tag, bool no_ack, bool nowait) {
    amqp_table_entry_t offset = {.key = bytes_of("x-stream-offset")};
    amqp_table_t arguments = {is_stream(), &offset};
    char *end;
    offset.value.value.i64 = strtoll(opt.stream_offset, &end, 10);
    offset.value.kind = AMQP_FIELD_KIND_I64;
    if (*end) {
        offset.value.kind = AMQP_FIELD_KIND_UTF8;
        offset.value.value.bytes = bytes_of(opt.stream_offset);
    }
    amqp_basic_consume_t m = {.queue = bytes_of(queue), .consumer_tag = bytes_of(tag), .no_ack = no_ack, .nowait = nowait, .arguments = arguments};
    int error = amqp_send_method(c, CHANNEL, AMQP_BASIC_CONSUME_METHOD, &m);
    if (error) die("basic.consume: %s", amqp_error_string2(error));
}

/* The answer to the last basic.consume, or the first delivery for an earlier one, which stays in the buffer. */
static void await_consume_ok(wire *l) {
    for (;;) {
        u32 type, size;
        u8 *f = next_frame(l, &type, &size);
        if (!f) {
            if (wire_read(l) <= 0) die("basic.consume: connection lost");
            continue;
        }
        u32 method = type == FRAME_METHOD ? get32(f) : 0;
        if (method == BASIC_CONSUME_OK) return;
        if (method == BASIC_DELIVER) {
            l->used -= size + FRAME_OVERHEAD;
            return;
        }
        if (method && is_close(f, size, "basic.consume")) exit(1);
    }
}

/* Tags are numbers: with --subscribe-all they say which of this consumer's queues a delivery is from. */
void subscribe(wire *l, amqp_connection_state_t c, int queue, bool no_ack) {
    int step = opt.subscribe_all ? opt.consumers : topo.nqueues;
    int number = opt.subscribe_all ? (topo.nqueues - queue + step - 1) / step : opt.subscriptions;
    if (opt.prefetch && !no_ack) {
        amqp_basic_qos(c, CHANNEL, 0, (u16)opt.prefetch, 0);
        check_reply(c, "basic.qos");
    }
    for (int i = 0; i < number; i++) {
        char tag[16];
        snprintf(tag, sizeof tag, "%d", i);
        send_consume(c, topo.queues[opt.subscribe_all ? queue + i * step : queue], tag, no_ack, i < number - 1);
    }
    connect_wire(l, c);
    if (number) await_consume_ok(l);
}

void subscribe_replies(wire *l, amqp_connection_state_t c) {
    send_consume(c, "amq.rabbitmq.reply-to", "0", true, false);
    connect_wire(l, c);
    await_consume_ok(l);
}

static int number_of(const u8 *tag, u32 size) {
    int n = 0;
    for (u32 i = 0; i < size; i++) n = n * 10 + (tag[i] - '0');
    return n;
}

/* Count one message by what its stamp says. */
static void check_stamp(consumer *c, taking *t, u64 now) {
    stamp s = stamp_read(t->stamp);
    if (t->stamped < STAMP_SIZE || (s.run != run.id && !opt.any_run)) {
        c->foreign++;
        return;
    }
    c->redelivered += t->redelivered;
    if (s.run == run.id && s.producer < opt.producers) {
        i64 *last = &t->last[t->queue * opt.producers + s.producer];
        int group = opt.subscribe_all ? 0 : c->queue;
        if ((i64)s.sequence > *last) *last = s.sequence;
        else if (!t->redelivered && !opt.swarm) c->disordered++; /* a swarm's connections have no order among them */
        if (seen_before(run.seen[group * opt.producers + s.producer], s.sequence, t->shared)) c->duplicates++;
        else c->unique++;
    } else if (opt.any_run) {
        c->unique++;
    } else {
        return;
    }
    if (s.ns >= run.warm_ns && now > s.ns) histogram_add(&c->latency, now - s.ns);
}

static bool flush_acks(consumer *c, taking *t) {
    bool written = wire_write(&c->wire, t->acks, t->acks_size, &run.stop_all);
    t->acks_size = 0;
    return written;
}

/* Wait until the next message of a slow consumer may be taken. */
static void keep_rate(consumer *c, taking *t) {
    if (!c->got_first_ns) return;
    u64 due = c->got_first_ns + (u64)((double)t->got * 1e9 / opt.consume_rate), now = now_ns();
    if (due <= now + 1000000) return; /* a sleep below a millisecond is not worth it */
    if (t->acks_size) flush_acks(c, t);
    while (due > now && !atomic_load(&run.stop_all)) {
        nap(due - now > NS_PER_S / 10 ? 0.1 : (double)(due - now) / 1e9);
        now = now_ns();
    }
}

/* A whole message has been read; false if the connection is gone. */
static bool take(consumer *c, taking *t, u64 now) {
    t->in_body = false;
    t->got++;
    c->bytes += t->at;
    if (is_stamped()) check_stamp(c, t, now);
    else c->unique++;
    if (!t->no_ack && t->got % (u64)opt.multi_ack == 0) {
        put_ack(t->acks + t->acks_size, t->tag, opt.multi_ack > 1);
        t->acks_size += ACK_SIZE;
        t->acked = t->tag;
        if (t->acks_size + ACK_SIZE > ACKS_ROOM && !flush_acks(c, t)) return false;
    }
    if (opt.consume_rate > 0) keep_rate(c, t);
    if (!c->got_first_ns) c->got_first_ns = now;
    c->got_last_ns = now;
    return true;
}

static void take_body(consumer *c, taking *t, const u8 *f, u32 size) {
    if (t->stamped < STAMP_SIZE) {
        u32 n = size < STAMP_SIZE - t->stamped ? size : STAMP_SIZE - t->stamped;
        memcpy(t->stamp + t->stamped, f, n);
        t->stamped += n;
    }
    if (opt.verify) {
        u32 skipped = t->at < STAMP_SIZE && is_stamped() ? STAMP_SIZE - (u32)t->at : 0;
        bool longer = t->at + size > (u64)opt.size;
        if (longer || (size > skipped && memcmp(f + skipped, run.pattern + t->at + skipped, size - skipped))) c->bad_bodies++;
    }
    t->at += size;
    t->left = t->left > size ? t->left - size : 0;
}

/* Obey the frames in the buffer; false if there is nothing more to come. */
static bool take_frames(consumer *c, taking *t, u64 now) {
    u32 type, size;
    for (u8 *f; (f = next_frame(&c->wire, &type, &size));) {
        if (type == FRAME_BODY && t->in_body) {
            take_body(c, t, f, size);
            if (!t->left && !take(c, t, now)) return false;
        } else if (type == FRAME_HEADER) {
            t->left = get64(f + 4);
            t->at = t->stamped = 0;
            t->in_body = true;
            if (!t->left && !take(c, t, now)) return false;
        } else if (type == FRAME_METHOD && get32(f) == BASIC_DELIVER) {
            u32 length = f[4];
            if (opt.subscribe_all) t->queue = number_of(f + 5, length);
            t->tag = get64(f + 5 + length);
            t->redelivered = f[13 + length] & 1;
            t->in_body = false;
        } else if (type == FRAME_METHOD && get32(f) == BASIC_CANCEL) {
            c->cancelled++;
            return false;
        } else if (type == FRAME_METHOD && is_close(f, size, "consumer")) {
            run_failed();
            return false;
        }
    }
    return true;
}

/* Send what acknowledgements the socket takes now. */
static bool offer_acks(consumer *c, taking *t) {
    if (!t->acks_size) return true;
    ssize_t n = send(c->wire.fd, t->acks, t->acks_size, MSG_DONTWAIT);
    if (n < 0) return errno == EAGAIN;
    memmove(t->acks, t->acks + n, t->acks_size - (size_t)n);
    t->acks_size -= (size_t)n;
    return true;
}

/* Nothing came for a while: acknowledge what --multi-ack held back. */
static void ack_rest(consumer *c, taking *t) {
    u8 ack[ACK_SIZE];
    if (t->no_ack || t->acked >= t->tag || t->in_body || t->acks_size) return;
    put_ack(ack, t->tag, true);
    if (wire_write(&c->wire, ack, ACK_SIZE, &run.stop_all)) t->acked = t->tag;
}

static void take_all(consumer *c, taking *t) {
    for (;;) {
        bool more = take_frames(c, t, now_ns());
        atomic_store_explicit(&c->got, t->got, memory_order_relaxed);
        if (!offer_acks(c, t) || !more || atomic_load_explicit(&run.stop_all, memory_order_relaxed)) return;
        ssize_t n = wire_read(&c->wire);
        c->reads++;
        if (n > 0) continue;
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            ack_rest(c, t);
            continue;
        }
        warn("consumer %d: %s", c->id, n ? strerror(errno) : "end of stream");
        run_failed();
        return;
    }
}

void *consume(void *consumer_) {
    consumer *c = consumer_;
    int queues = opt.subscribe_all ? topo.nqueues : 1;
    size_t lasts = (size_t)queues * (size_t)opt.producers + 1;
    taking t = {.no_ack = opt.auto_ack, .shared = opt.subscribe_all || opt.consumers > topo.nqueues};
    t.last = zeroed(sizeof(i64) * lasts);
    for (size_t i = 0; i < lasts; i++) t.last[i] = -1;
    t.acks = zeroed(ACKS_ROOM);
    wire_read_timeout(&c->wire, READ_TIMEOUT_US);
    gate_pass(&run.gate);
    take_all(c, &t);
    c->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    wire_read_timeout(&c->wire, 0);
    if (!atomic_load(&run.failed)) wire_close_politely(&c->wire, false);
    wire_drop(&c->wire);
    free(t.last);
    free(t.acks);
    atomic_fetch_sub(&run.consumers_alive, 1);
    return NULL;
}
