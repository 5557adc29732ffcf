"""Tutorials three to five: publish one line to an exchange. `emit_log.py EXCHANGE TYPE KEY TEXT`"""

import os
import sys

import pika

exchange, kind, key, text = sys.argv[1:]

with pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection:
    channel = connection.channel()
    channel.exchange_declare(exchange, exchange_type=kind, auto_delete=True)
    channel.basic_publish(exchange=exchange, routing_key=key, body=text.encode())
    print(f"sent {key}: {text}")
