"""amqpd: an AMQP 0-9-1 broker that RabbitMQ's clients take for RabbitMQ."""

# The map of the package: where a reader starts. A room may import the rooms below it, never those above.
#
#   app.py       builds every part and owns the nurseries; cli/ and testing/ stand beside it
#   server/      listeners, sessions, back-pressure: the only place that touches sockets
#   runtime/     trio glue: the timer task
#   auth/        users and SASL mechanisms
#   protocol/    one connection as a state machine: bytes and time in, bytes out
#   broker/      what AMQP means: vhosts, exchanges, bindings, queues, consumers
#   wire/        AMQP 0-9-1 as bytes; knows no state
#   config/      the table of settings; errors.py the exception tree; hooks.py what a plugin can add
#
# `wire`, `protocol` and `broker` are the message path: synchronous, plain typed Python that mypyc can compile.

__version__ = "0.1.0"
