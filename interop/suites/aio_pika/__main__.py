"""Runs all scenarios of this folder."""

import suites.aio_pika
from suites.aio_pika.client import suite
from suites.harness import load_scenarios

if __name__ == "__main__":
    load_scenarios(suites.aio_pika)
    suite.main()
