"""Tutorial two: do tasks, one at a time; a dot is a tenth of a second of work. `worker.py QUEUE`"""

import os
import sys

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic


def on_task(channel: BlockingChannel, method: Basic.Deliver, properties: pika.BasicProperties, body: bytes) -> None:
    print(f"received {body.decode()}{' again' if method.redelivered else ''}")
    connection.sleep(body.count(b".") / 10)
    print(f"done {body.decode()}")
    channel.basic_ack(method.delivery_tag)


queue = sys.argv[1]
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue, durable=True)
channel.basic_qos(prefetch_count=1)  # no second task before the first is done
channel.basic_consume(queue, on_task)
print("ready")
try:
    channel.start_consuming()
except KeyboardInterrupt:
    connection.close()
