"""The domain: what AMQP means. Vhosts, exchanges, bindings, queues, consumers, and what happens to a message.

Synchronous and pure: no trio, no clock, no socket, no randomness of its own. Time (ms) is set by whoever calls from
outside (`Broker.now_ms`), bytes leave through `ports.DeliverySink`.
"""
