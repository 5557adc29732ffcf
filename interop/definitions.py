#!/usr/bin/env python3
"""Take definitions that amqpd exports to a real RabbitMQ and back.

    .venv/bin/python interop/definitions.py http://USER:PASSWORD@HOST:15672

The URL is of RabbitMQ's management plugin, the user an administrator. A state with everything in it that definitions
can hold is written by amqpd's export, imported into RabbitMQ, exported by it and read by amqpd again: whole, then one
vhost into another. What comes back must be what was there. What RabbitMQ does otherwise is checked to be so:

    an internal exchange is imported, and left out of RabbitMQ's exports, which keep its bindings
    null among arguments makes RabbitMQ refuse the file
    the user of an argon2 hash is imported and cannot log in

Needs the package and nothing else. Everything it makes is in vhosts and under names that
begin with `amqpd-definitions-`, and deleted at the end. Exit code: 0 if all is as said, 1 if not.
"""

import base64
import hashlib
import json
import sys
import urllib.error
import urllib.parse
import urllib.request

from amqpd.broker.commands import (
    PutBinding,
    PutExchange,
    PutGlobalParameter,
    PutPermission,
    PutPolicy,
    PutQueue,
    PutTopicPermission,
    PutUser,
    PutUserLimit,
    PutVHost,
    PutVHostLimit,
)
from amqpd.metadata.document import commands_from, document_from, normal
from amqpd.metadata.document.gathering import identity_of
from amqpd.wire import tables
from amqpd.wire.tables import Field, array, longstr, subtable

STEM = "amqpd-definitions-"
MAIN, OTHER, COPY = STEM + "main", STEM + "Überall", STEM + "copy"
PASSWORD = "of-the-interop-run"


def hashed(algorithm, salt):
    return base64.b64encode(salt + hashlib.new(algorithm, salt + PASSWORD.encode()).digest()).decode()


def user(name, algorithm, *tags):
    return PutUser(STEM + name, hashed(algorithm, b"\x00\xff\x7f\x80"), f"rabbit_password_hashing_{algorithm}", tags)


ARGON2 = PutUser(STEM + "argon2", "$argon2id$v=19$m=65536,t=3,p=1$c29tZSBzYWx0IG9yIG8$" + "A" * 43, "argon2")
EVERY_TYPE = [
    ("x-match", longstr("any")),
    ("bool", Field(tables.BOOL, True)),
    ("byte", Field(tables.BYTE, -1)),
    ("short", Field(tables.UNSIGNED_SHORT, 65535)),
    ("signedint", Field(tables.SIGNED_INT, -5)),
    ("long", Field(tables.LONG, -(2**63))),
    ("float", Field(tables.FLOAT, 0.5)),
    ("double", Field(tables.DOUBLE, 0.1)),
    ("whole", Field(tables.DOUBLE, 1e22)),
    ("decimal", Field(tables.DECIMAL, (2, 314))),
    ("timestamp", Field(tables.TIMESTAMP, 1709208000)),
    ("text", longstr("grüße \U0001f407")),
    ("bytes", Field(tables.BINARY, b"plain")),
    ("array", array([longstr("a"), array([]), subtable([("n", tables.long(1))])])),
    ("table", subtable([("b", subtable([])), ("a", longstr("1"))])),
]
STATE = [
    PutVHost(MAIN, "Everything there is", ("one", "two"), "quorum"),
    PutVHost(OTHER, "", (), "classic"),
    user("sha256", "sha256", "administrator"),
    user("sha512", "sha512", "monitoring", "own tag"),
    user("md5", "md5"),
    PutUser(STEM + "none", "", "rabbit_password_hashing_sha256"),
    ARGON2,
    PutUserLimit(STEM + "md5", "max-connections", 5),
    PutUserLimit(STEM + "md5", "max-channels", -1),
    PutPermission(STEM + "sha256", MAIN, ".*", ".*", ".*"),
    PutPermission(STEM + "md5", OTHER, "", "^a\\.", "(b|ü)$"),
    PutTopicPermission(STEM + "md5", OTHER, "amq.topic", "^{username}\\.", ".*"),
    PutExchange(MAIN, "topics", "topic", arguments=[("alternate-exchange", longstr("rest"))]),
    PutExchange(MAIN, "rest", "fanout", auto_delete=True),
    PutExchange(MAIN, "match", "headers"),
    PutExchange(MAIN, "inner", "direct", internal=True),
    PutExchange(OTHER, "straße", "direct"),
    PutGlobalParameter(STEM + "global", {"a": [1, 2.5, "c", {"d": True}]}),
    PutPolicy(MAIN, "limits", "^q", {"max-length": 10, "overflow": "reject-publish"}, "queues", 7),
    PutPolicy(MAIN, "limits", ".*", {"message-ttl": 5000}, "quorum_queues", -1, operator=True),
    PutQueue(MAIN, "q.quorum", "quorum", arguments=[("x-delivery-limit", tables.long(5))]),
    PutQueue(MAIN, "q.classic", arguments=[("x-message-ttl", Field(tables.SIGNED_INT, 60000)), ("own", longstr("x"))]),
    PutQueue(MAIN, "q.stream", "stream", arguments=[("x-max-age", longstr("1h"))]),
    PutQueue(OTHER, "größe", auto_delete=True),
    PutBinding(MAIN, "topics", "queue", "q.quorum", "a.*.ü"),
    PutBinding(MAIN, "topics", "exchange", "rest", "#"),
    PutBinding(MAIN, "topics", "exchange", "inner", "#"),
    PutBinding(MAIN, "match", "queue", "q.classic", "", EVERY_TYPE),
    PutBinding(MAIN, "match", "queue", "q.classic", "", [("x-match", longstr("all"))]),
    PutBinding(OTHER, "amq.fanout", "queue", "größe", ""),
    PutVHostLimit(MAIN, "max-queues", 100),
    PutVHostLimit(MAIN, "max-connections", -1),
]


class Server:
    """RabbitMQ's HTTP interface."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.base = f"{parts.scheme}://{parts.hostname}:{parts.port}/api"
        self.credentials = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password)}"

    def ask(self, method, *path, body=None, credentials=None):
        """The status and the answer."""
        url = "/".join([self.base, *(urllib.parse.quote(step, safe="") for step in path)])
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
        basic = base64.b64encode((credentials or self.credentials).encode()).decode()
        request.add_header("Authorization", f"Basic {basic}")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")


class Checks:
    """Counts what is as it should be, and prints what is not."""

    def __init__(self):
        self.passed = self.failed = 0

    def __call__(self, what, good, found=None):
        self.passed += bool(good)
        self.failed += not good
        print(f"{'ok    ' if good else 'FAILED'} {what}{'' if good else f': {found!r}'}")


def seen_in_exports(command):
    """Whether RabbitMQ's exports have it: internal exchanges they leave out, so amqpd leaves out what binds them."""
    return not getattr(command, "internal", False) and getattr(command, "destination", "") != "inner"


def compare(check, what, expected, reading):
    """Every command expected must be in the reading, which may have more."""
    check(f"{what}: RabbitMQ's export has no problem", not reading.problems, reading.problems)
    found = {identity_of(command): command for command in reading.commands}
    for command in expected:
        wanted = normal(command)
        there = found.get(identity_of(wanted))
        check(f"{what}: {type(command).__name__} comes back", there == wanted, (wanted, there))


def run(server, check):
    document = document_from(STATE)
    status, answer = server.ask("POST", "definitions", body=document)
    check("RabbitMQ imports amqpd's export", status == 204, answer)
    _, exported = server.ask("GET", "definitions")
    expected = [command for command in STATE if seen_in_exports(command) and command is not ARGON2]
    compare(check, "whole", expected, commands_from(exported))

    server.ask("PUT", "vhosts", COPY, body={"default_queue_type": "classic"})
    status, answer = server.ask("POST", "definitions", COPY, body=document_from(STATE, MAIN))
    check("RabbitMQ imports amqpd's export of a vhost", status == 204, answer)
    _, exported = server.ask("GET", "definitions", COPY)
    of_main = [
        command for command in expected if getattr(command, "vhost", None) == MAIN and not hasattr(command, "user")
    ]
    compare(check, "vhost", of_main, commands_from(exported, MAIN))

    _, exchange = server.ask("GET", "exchanges", MAIN, "inner")
    check("an internal exchange is imported", exchange["internal"] is True, exchange)
    for name in ("sha256", "sha512"):
        status, answer = server.ask("GET", "whoami", credentials=f"{STEM}{name}:{PASSWORD}")
        check(f"the user with a {name} hash logs in to RabbitMQ", status == 200, answer)
    _, there = server.ask("GET", "users", ARGON2.name)
    check("the user with an argon2 hash is there", there["hashing_algorithm"] == "argon2", there)
    status, answer = server.ask("GET", "whoami", credentials=f"{ARGON2.name}:{PASSWORD}")
    check("and cannot log in to RabbitMQ", status in (401, 500), status)
    void = PutQueue(OTHER, "void", arguments=[("v", Field(tables.VOID, None))])
    status, answer = server.ask("POST", "definitions", body=document_from([STATE[1], void]))
    check("RabbitMQ refuses null among arguments", status == 400 and "null_not_allowed" in str(answer), answer)


def clean(server):
    server.ask("DELETE", "global-parameters", STEM + "global")
    for name in (MAIN, OTHER, COPY):
        server.ask("DELETE", "vhosts", name)
    for command in STATE:
        if isinstance(command, PutUser):
            server.ask("DELETE", "users", command.name)


def main():
    if len(sys.argv) != 2 or "@" not in sys.argv[1]:
        print(__doc__)
        return 2
    server, check = Server(sys.argv[1]), Checks()
    try:
        run(server, check)
    finally:
        clean(server)
    print(f"definitions: {check.passed} checks passed, {check.failed} failed")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
