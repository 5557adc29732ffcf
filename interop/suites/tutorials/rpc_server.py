"""Tutorial six: a server of Fibonacci numbers. `rpc_server.py QUEUE`"""

import os
import sys

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic


def fibonacci(n: int) -> int:
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def on_request(channel: BlockingChannel, method: Basic.Deliver, asked: pika.BasicProperties, body: bytes) -> None:
    answer = str(fibonacci(int(body))).encode()
    channel.basic_publish(
        exchange="",
        routing_key=asked.reply_to,
        properties=pika.BasicProperties(correlation_id=asked.correlation_id),
        body=answer,
    )
    channel.basic_ack(method.delivery_tag)


queue = sys.argv[1]
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue)
channel.basic_qos(prefetch_count=1)
channel.basic_consume(queue, on_request)
print("ready")
try:
    channel.start_consuming()
except KeyboardInterrupt:
    channel.queue_delete(queue)
    connection.close()
