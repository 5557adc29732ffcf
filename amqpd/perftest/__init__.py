"""A load generator for any broker that speaks AMQP 0-9-1: what `amqpd bench` runs.

Synchronous cores, which get bytes and the time as arguments:

    options       what a run is to do, checked
    texts         how options are written: addresses, key=value pairs, VALUE:SECONDS
    topology      which queues and exchanges there are, and who uses which
    requests      what a client sends, as frames
    batches       many messages at once from one template
    client        one connection: handshake, calls, and what comes for each channel
    deliveries    takes many of them apart at once
    producer      one publishing channel: how much, when, and what is confirmed
    consumer      one consuming channel: takes, pretends to work, acknowledges
    pace          rates as times at which something is due
    histogram     latencies in bounded memory
    figures       what is counted
    report, plot  lines, tables and pictures of that

The shell, on trio: `link` is a socket with a client, `run` is a whole run.

Nothing here knows the broker of this project: it may import `wire` and no other room.
"""
