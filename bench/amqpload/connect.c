#include "connect.h"

#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static _Thread_local char said[512];
static int *held, nheld;

/* Why a call failed, NULL if it did not. */
static const char *trouble(amqp_rpc_reply_t reply) {
    if (reply.reply_type == AMQP_RESPONSE_NORMAL) return NULL;
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION) return amqp_error_string2(reply.library_error);
    if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION) return "no reply";
    if (reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
        amqp_connection_close_t *m = reply.reply.decoded;
        snprintf(said, sizeof said, "connection closed: %d %.*s", m->reply_code, (int)m->reply_text.len, (char *)m->reply_text.bytes);
    } else if (reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
        amqp_channel_close_t *m = reply.reply.decoded;
        snprintf(said, sizeof said, "channel closed: %d %.*s", m->reply_code, (int)m->reply_text.len, (char *)m->reply_text.bytes);
    } else {
        return "an exception that is no close";
    }
    return said;
}

/* Give up a connection that did not come about. */
static const char *give_up(amqp_connection_state_t *connection, const char *step, const char *why) {
    static _Thread_local char whole[640];
    snprintf(whole, sizeof whole, "%s: %s", step, why);
    amqp_destroy_connection(*connection);
    *connection = NULL;
    return whole;
}

const char *connect_try(amqp_connection_state_t *connection, int index, bool channel) {
    amqp_connection_state_t c = *connection = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(c);
    if (!socket) die("out of memory");
    int error = amqp_socket_open(socket, opt.host, opt.ports[index % opt.nports]);
    if (error) return give_up(connection, "connect", amqp_error_string2(error));
    const char *why = trouble(amqp_login(c, opt.vhost, 0, opt.frame_max, 0, AMQP_SASL_METHOD_PLAIN, opt.user, opt.password));
    if (why) return give_up(connection, "login", why);
    if (!channel) return NULL;
    amqp_channel_open(c, CHANNEL);
    why = trouble(amqp_get_rpc_reply(c));
    return why ? give_up(connection, "channel", why) : NULL;
}

amqp_connection_state_t connect_or_die(int index, bool channel) {
    amqp_connection_state_t connection;
    const char *why = connect_try(&connection, index, channel);
    if (why) die("%s", why);
    return connection;
}

void check_reply(amqp_connection_state_t connection, const char *call) {
    const char *why = trouble(amqp_get_rpc_reply(connection));
    if (why) die("%s: %s", call, why);
}

int connect_release(amqp_connection_state_t connection) {
    int fd = dup(amqp_get_sockfd(connection));
    if (fd < 0) die("no more open files (ulimit -n)");
    amqp_destroy_connection(connection); /* closes its own descriptor, which is not the last one: no close on the wire */
    return fd;
}

void connect_wire(wire *l, amqp_connection_state_t connection) {
    int frame_max = amqp_get_frame_max(connection);
    wire_open(l, connect_release(connection), frame_max > 0 ? (u32)frame_max : 131072);
    wire_nonblocking(l, false);
}

void connect_close(amqp_connection_state_t connection) {
    amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(connection);
}

void hold_open(int connections) {
    held = zeroed(sizeof(int) * (size_t)(connections + 1));
    for (; nheld < connections; nheld++) held[nheld] = connect_release(connect_or_die(nheld, true));
}

void let_go(void) {
    while (nheld) close_hastily(held[--nheld]);
    free(held);
    held = NULL;
}
