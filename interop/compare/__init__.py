"""Wire-level comparison of two brokers; README.md explains it, `run` starts it."""
