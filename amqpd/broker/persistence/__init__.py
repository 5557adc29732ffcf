"""What durable queues, and long ones, have on disk: the queues' side of the message store (docs/storage.md)."""
