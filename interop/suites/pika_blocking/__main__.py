"""Runs all scenarios of this folder."""

from suites.pika_blocking import deadlettering, limits, queues, reliability, routing, rpc, sessions, work
from suites.pika_blocking.client import suite

MODULES = (
    work,
    queues,
    routing,
    reliability,
    deadlettering,
    limits,
    rpc,
    sessions,
)  # importing them registers their scenarios

if __name__ == "__main__":
    suite.main()
