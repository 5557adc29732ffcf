"""The command line tools of librabbitmq in shell pipelines: declare, publish, get, consume, delete.

Every command runs in a shell with $URL set, has a time limit, and is checked by its exit code and by what it printed.
"""

import os
import signal
import subprocess

from suites.harness import Suite, wait_until

suite = Suite("amqp-tools")
LIMIT_S = 10.0


def start(command: str, **variables: str) -> "subprocess.Popen[bytes]":
    """Start a shell command in a process group of its own."""
    # An empty path is the virtual host "" to librabbitmq, so the default one has to be spelled out.
    environment = {**os.environ, "URL": f"{suite.url.rstrip('/')}/%2f", **variables}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, shell=True, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
    )


def shell(command: str, stdin: bytes = b"", **variables: str) -> tuple[int, bytes, bytes]:
    """Run a shell command to its end; returns exit code, output, errors. Raises TimeoutExpired after ten seconds."""
    process = start(command, **variables)
    try:
        output, errors = process.communicate(stdin, LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode, output, errors


def ok(command: str, stdin: bytes = b"", **variables: str) -> bytes:
    """Run a command that must succeed; returns what it printed."""
    code, output, errors = shell(command, stdin, **variables)
    suite.equal(f"`{command}` ends with ({errors.decode().strip()})", code, 0)
    return output


@suite.scenario()
def publish_and_get() -> None:
    queue = suite.unique("hello")
    suite.equal("the queue's name", ok("amqp-declare-queue --url $URL -q $Q", Q=queue), queue.encode() + b"\n")
    ok("amqp-publish --url $URL -r $Q -b 'hello world'", Q=queue)
    ok("echo -n from standard input | amqp-publish --url $URL -r $Q -p -C text/plain", Q=queue)
    suite.equal("first", ok("amqp-get --url $URL -q $Q", Q=queue), b"hello world")
    suite.equal("second", ok("amqp-get --url $URL -q $Q", Q=queue), b"from standard input")
    suite.equal("an empty queue is exit code 2", shell("amqp-get --url $URL -q $Q", Q=queue)[:2], (2, b""))
    suite.equal("messages deleted with it", ok("amqp-delete-queue --url $URL -q $Q", Q=queue), b"0\n")


@suite.scenario()
def options_instead_of_a_url() -> None:
    host, port = suite.url.rpartition("@")[2].rstrip("/").split(":")
    options = f"-s {host} --port {port} --vhost / --username guest --password guest"
    queue = ok(f"amqp-declare-queue {options} -q ''").decode().strip()
    suite.check("a name by the server", queue.startswith("amq.gen-"), queue)
    ok(f"amqp-publish {options} -r $Q -b x", Q=queue)
    suite.equal("through", ok(f"amqp-get {options} -q $Q", Q=queue), b"x")
    ok(f"amqp-delete-queue {options} -q $Q", Q=queue)


@suite.scenario()
def lines_and_large_bodies() -> None:
    """One message per line with -l; a body of 1 MiB through standard input, byte for byte."""
    queue = suite.unique("lines")
    ok("amqp-declare-queue --url $URL -d -q $Q", Q=queue)
    ok("printf 'one\\ntwo\\nthree\\n' | amqp-publish --url $URL -r $Q -l", Q=queue)
    consumed = ok("amqp-consume --url $URL -q $Q -c 3 -- sh -c 'cat; echo'", Q=queue)
    suite.equal("three messages", consumed.split(), [b"one", b"two", b"three"])
    body = bytes(range(256)) * 4096
    ok("amqp-publish --url $URL -r $Q", stdin=body, Q=queue)
    suite.check("1 MiB", ok("amqp-get --url $URL -q $Q", Q=queue) == body)
    ok("amqp-delete-queue --url $URL -q $Q --if-empty", Q=queue)


@suite.scenario()
def consume_from_an_exchange() -> None:
    """-e and -r bind a queue of one's own to an exchange."""
    key = suite.unique("key")
    consumer = start("amqp-consume --url $URL -e amq.topic -r '#.'$KEY -x -c 2 cat", KEY=key)

    def publish() -> None:  # again and again, as nobody tells when the consumer is bound
        shell("amqp-publish --url $URL -e amq.topic -r a.$KEY -b ping", KEY=key)

    wait_until("the consumer has its two", lambda: consumer.poll() is not None, publish)
    output, errors = consumer.communicate(timeout=LIMIT_S)
    suite.equal("exit code", consumer.returncode, 0)
    suite.contains("the queue's name", errors.decode(), "Server provided queue name: amq.gen-")
    suite.equal("two of them", output, b"pingping")


@suite.scenario()
def acknowledgement_follows_the_command() -> None:
    """A message is acknowledged if the command succeeds, and comes again if it does not."""
    queue = suite.unique("acks")
    ok("amqp-declare-queue --url $URL -q $Q", Q=queue)
    for body in ("bad", "good"):
        ok(f"amqp-publish --url $URL -r $Q -b {body}", Q=queue)
    ok("amqp-consume --url $URL -q $Q -c 2 -p 2 -- sh -c 'test $(cat) = good'", Q=queue)
    suite.equal("the bad one is back", ok("amqp-get --url $URL -q $Q", Q=queue), b"bad")
    suite.equal("the good one is gone", shell("amqp-get --url $URL -q $Q", Q=queue)[0], 2)
    for body in ("1", "2", "3"):
        ok(f"amqp-publish --url $URL -r $Q -b {body}", Q=queue)
    suite.equal("no-ack", ok("amqp-consume --url $URL -q $Q -A -c 3 cat", Q=queue), b"123")
    ok("amqp-delete-queue --url $URL -q $Q", Q=queue)


@suite.scenario()
def refusals() -> None:
    """Errors are printed with the server's own words, and end with exit code 1."""
    queue = suite.unique("refused")
    for command, text in (
        ("amqp-get --url $URL -q $Q", f"404, message: NOT_FOUND - no queue '{queue}' in vhost '/'"),
        ("amqp-consume --url $URL -q $Q cat", f"404, message: NOT_FOUND - no queue '{queue}' in vhost '/'"),
        (
            "amqp-declare-queue --url $URL -q amq.x",
            "403, message: ACCESS_REFUSED - queue name 'amq.x' contains reserved",
        ),
    ):
        code, _, errors = shell(command, Q=queue)
        suite.equal("exit code", code, 1)
        suite.contains(command, errors.decode(), text)
    ok("amqp-declare-queue --url $URL -q $Q && amqp-publish --url $URL -r $Q -b x", Q=queue)
    code, _, errors = shell("amqp-delete-queue --url $URL -q $Q --if-empty", Q=queue)
    suite.contains(
        "not empty", errors.decode(), f"406, message: PRECONDITION_FAILED - queue '{queue}' in vhost '/' not empty"
    )
    suite.equal("one message deleted", ok("amqp-delete-queue --url $URL -q $Q", Q=queue), b"1\n")
    code, _, errors = shell("amqp-get --url ${URL%/*}/nowhere -q $Q", Q=queue)
    suite.contains("virtual host", errors.decode(), "530, message: NOT_ALLOWED - vhost nowhere not found")


@suite.scenario()
def heartbeats() -> None:
    """librabbitmq sends and expects heartbeats while it waits for messages."""
    queue = suite.unique("beats")
    ok("amqp-declare-queue --url $URL -q $Q", Q=queue)
    consumer = start("amqp-consume --url $URL --heartbeat 1 -q $Q -c 1 cat", Q=queue)
    sleeping = shell("sleep 4")
    suite.equal("still waiting after four intervals", (sleeping[0], consumer.poll()), (0, None))
    ok("amqp-publish --url $URL -r $Q -b awake", Q=queue)
    suite.equal("and receives", consumer.communicate(timeout=LIMIT_S)[0], b"awake")
    ok("amqp-delete-queue --url $URL -q $Q", Q=queue)


if __name__ == "__main__":
    suite.main()
