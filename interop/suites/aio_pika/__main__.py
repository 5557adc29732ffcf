"""Runs all scenarios of this folder."""

from suites.aio_pika import everyday, patterns, robust
from suites.aio_pika.client import suite

MODULES = (everyday, patterns, robust)  # importing them registers their scenarios

if __name__ == "__main__":
    suite.main()
