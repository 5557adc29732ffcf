"""Benchmarks of whole brokers and of the core. See README.md; run as `python -m bench.NAME` at the root."""
