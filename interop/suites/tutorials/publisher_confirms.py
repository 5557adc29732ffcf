"""Tutorial seven: publish, and know that the broker has it. `publisher_confirms.py QUEUE COUNT`"""

import os
import sys

import pika
from pika.exceptions import NackError, UnroutableError

queue, count = sys.argv[1], int(sys.argv[2])

with pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection:
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare(queue, durable=True)
    confirmed = 0
    for number in range(count):
        try:
            channel.basic_publish(exchange="", routing_key=queue, body=str(number).encode(), mandatory=True)
        except (NackError, UnroutableError) as error:
            print(f"message {number} was not taken: {error}")
        else:
            confirmed += 1
    print(f"{confirmed} confirmed, {channel.queue_delete(queue).method.message_count} in the queue")
