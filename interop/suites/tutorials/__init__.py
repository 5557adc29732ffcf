"""The RabbitMQ tutorials with pika, each program a file of its own that is started as its own process."""
