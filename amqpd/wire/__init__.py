"""AMQP 0-9-1 as bytes. Nothing here keeps state, reads a clock, or knows what a queue is."""
