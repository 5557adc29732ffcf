"""Tutorial six: ask the server of Fibonacci numbers. `rpc_client.py QUEUE N...`"""

import os
import sys
import uuid

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic


class FibonacciClient:
    """Calls and waits: one request at a time, told from older ones by its correlation id."""

    def __init__(self, queue: str) -> None:
        self._queue = queue
        self._connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
        self._channel = self._connection.channel()
        self._replies: str = self._channel.queue_declare("", exclusive=True).method.queue
        self._channel.basic_consume(self._replies, self._on_reply, auto_ack=True)
        self._asked = ""
        self._answer: bytes | None = None

    def _on_reply(
        self, channel: BlockingChannel, method: Basic.Deliver, properties: pika.BasicProperties, body: bytes
    ) -> None:
        if properties.correlation_id == self._asked:
            self._answer = body

    def call(self, n: int) -> int:
        """Ask for the n-th number; blocks until it is there."""
        self._answer, self._asked = None, str(uuid.uuid4())
        self._channel.basic_publish(
            exchange="",
            routing_key=self._queue,
            properties=pika.BasicProperties(reply_to=self._replies, correlation_id=self._asked),
            body=str(n).encode(),
        )
        while self._answer is None:
            self._connection.process_data_events(time_limit=None)
        return int(self._answer)


client = FibonacciClient(sys.argv[1])
for argument in sys.argv[2:]:
    print(f"fibonacci({argument}) = {client.call(int(argument))}")
