/* Connections by librabbitmq: login, channel, declarations. What a thread then does with the socket is wire.h's. */
#ifndef CONNECT_H
#define CONNECT_H

#include "wire.h"

#if defined(__has_include) && __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#endif

/* Open a connection, with channel 1 if `channel`; `index` chooses among the ports. NULL, or what went wrong (a text of
 * this thread's, until its next call). */
const char *connect_try(amqp_connection_state_t *connection, int index, bool channel);

/* The same, or the end of the program. */
amqp_connection_state_t connect_or_die(int index, bool channel);

/* Check the answer to the synchronous call just made; the program ends if it was a refusal. */
void check_reply(amqp_connection_state_t connection, const char *call);

/* Take the socket out of librabbitmq: a wire for a thread, or the bare descriptor. Its memory is given back. */
void connect_wire(wire *l, amqp_connection_state_t connection);
int connect_release(amqp_connection_state_t connection);

void connect_close(amqp_connection_state_t connection);

/* --idle-connections: open them, and close them again. */
void hold_open(int connections);
void let_go(void);

static inline amqp_bytes_t bytes_of(const char *s) { return amqp_cstring_bytes(s); }

#endif
