"""Runs all scenarios of this folder."""

import suites.pika_blocking
from suites.harness import load_scenarios
from suites.pika_blocking.client import suite

if __name__ == "__main__":
    load_scenarios(suites.pika_blocking)
    suite.main()
