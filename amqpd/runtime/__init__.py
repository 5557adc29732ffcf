"""Glue between the synchronous cores and trio: time and timers, the memory watch, logs. No sockets."""
