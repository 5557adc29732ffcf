"""Tutorial two: put a task into a queue that survives a restart of the broker. `new_task.py QUEUE TEXT`"""

import os
import sys

import pika

queue, text = sys.argv[1:]

with pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection:
    channel = connection.channel()
    channel.queue_declare(queue, durable=True)
    persistent = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
    channel.basic_publish(exchange="", routing_key=queue, body=text.encode(), properties=persistent)
    print(f"sent {text}")
