"""What the checks of the installations share: a client that uses a broker, and a list of what was expected."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Final

# Exit code 0: logged in, made a durable queue, and a message came back. With "refused: ..." on standard error, refused.
_CLIENT: Final = """
import sys, pika
from pika.exceptions import AMQPConnectionError
host, port, user, password, vhost = sys.argv[1:]
credentials = pika.PlainCredentials(user, password)
try:
    connection = pika.BlockingConnection(pika.ConnectionParameters(host, int(port), vhost, credentials))
except AMQPConnectionError as error:
    sys.exit(f"refused: {error!r}")
channel = connection.channel()
channel.confirm_delivery()
channel.queue_declare("kept", durable=True)
channel.basic_publish("", "kept", b"hello", mandatory=True)
assert channel.basic_get("kept", auto_ack=True)[2] == b"hello"
connection.close()
"""

_failures: list[str] = []


def client_works(prefix: Sequence[str], host: str, port: int, user: str, password: str, vhost: str) -> bool:
    """Whether a client can log in and work. Blocks; ends the program where it fails in any other way than refused.

    `prefix` is a command that runs the client where the broker is, such as nsenter.
    """
    command = [*prefix, sys.executable, "-c", _CLIENT, host, str(port), user, password, vhost]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "refused: " not in done.stderr:
        raise SystemExit(f"the client failed:\n{done.stderr}")
    return done.returncode == 0


def expect(what: str, right: bool) -> None:
    """Note and print whether something is as it should be."""
    print(f"  {'ok  ' if right else 'FAIL'} {what}", flush=True)
    if not right:
        _failures.append(what)


def report() -> None:
    """End the program, with exit code 1 if anything was not as it should be."""
    if _failures:
        raise SystemExit(f"{len(_failures)} failed: " + "; ".join(_failures))
    print("all is well")
