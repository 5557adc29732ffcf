/* Queues, the exchange and its bindings: declared before the threads start, deleted when they have ended. */
#ifndef TOPOLOGY_H
#define TOPOLOGY_H

#include "connect.h"

/* Constant while threads run. Producers rotate through `keys`; with the default exchange they are the queues' names. */
struct topology {
    char **queues;
    int nqueues;
    const char *exchange; /* "" is the default exchange */
    char **keys;
    int nkeys;
};

extern struct topology topo;

/* Declare as the options say; a refusal ends the program. */
void topology_make(amqp_connection_state_t c);
void topology_delete(amqp_connection_state_t c);

/* queue.declare with the options' type, durability and arguments. `nowait` leaves the answer out. */
void declare_queue(amqp_connection_state_t c, const char *name, bool nowait);

#endif
