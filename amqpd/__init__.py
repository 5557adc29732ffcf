"""amqpd: an AMQP 0-9-1 broker that RabbitMQ's clients take for RabbitMQ."""

# The map of the package: where a reader starts. A room may import the rooms below it, never those above.
#
#   cli/         the command lines; testing/ a broker for other people's tests
#   app.py       builds every part and owns the nurseries; reloading.py obeys settings that changed
#   server/      listeners, TLS, sessions, back-pressure; what operators can order
#   runtime/     trio glue: the timer task, the writer of definitions, the memory watch, logs; the data directory
#   auth/        users, permissions, SASL mechanisms, the chain of backends
#   metadata/    definitions: in SQLite, and as RabbitMQ's JSON
#   protocol/    one connection as a state machine: bytes and time in, bytes out
#   broker/      what AMQP means: vhosts, exchanges, bindings, queues, consumers
#   raft/        consensus: one member of a replicated group, as a pure state machine; docs/raft.md
#   wire/        AMQP 0-9-1 as bytes; knows no state
#   config/      the table of settings; errors.py the exception tree; hooks.py plugins; text.py readable names
#
# `wire`, `protocol`, `broker` and `raft` are synchronous, plain typed Python that mypyc can compile.

__version__ = "0.1.0"
