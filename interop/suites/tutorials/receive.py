"""Tutorial one: print what comes out of a queue, until interrupted. `receive.py QUEUE`"""

import os
import sys

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic


def on_message(channel: BlockingChannel, method: Basic.Deliver, properties: pika.BasicProperties, body: bytes) -> None:
    print(f"received {body.decode()}")


queue = sys.argv[1]
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue)  # whoever comes first makes it
channel.basic_consume(queue, on_message, auto_ack=True)
print("ready")
try:
    channel.start_consuming()
except KeyboardInterrupt:
    channel.queue_delete(queue)
    connection.close()
