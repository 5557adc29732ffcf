"""aio-pika in asyncio services."""
