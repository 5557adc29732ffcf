"""Tutorial one: put one message into a queue. `send.py QUEUE TEXT`"""

import os
import sys

import pika

queue, text = sys.argv[1:]

connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue)
channel.basic_publish(exchange="", routing_key=queue, body=text.encode())
print(f"sent {text}")
connection.close()
