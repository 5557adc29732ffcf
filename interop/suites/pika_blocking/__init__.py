"""pika's BlockingConnection, in the style of scripts and small services."""
