"""Queues: their contract, and the kinds there are."""
