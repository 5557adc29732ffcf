"""Tutorials three to five: print what an exchange sends to these keys. `receive_logs.py EXCHANGE TYPE KEY...`"""

import os
import sys

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic


def on_log(channel: BlockingChannel, method: Basic.Deliver, properties: pika.BasicProperties, body: bytes) -> None:
    print(f"{method.routing_key}: {body.decode()}")


exchange, kind, *keys = sys.argv[1:]
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.exchange_declare(exchange, exchange_type=kind, auto_delete=True)
queue = channel.queue_declare("", exclusive=True).method.queue  # the broker finds a name; the queue goes when we go
for key in keys:
    channel.queue_bind(queue, exchange, key)
channel.basic_consume(queue, on_log, auto_ack=True)
print("ready")
try:
    channel.start_consuming()
except KeyboardInterrupt:
    connection.close()
