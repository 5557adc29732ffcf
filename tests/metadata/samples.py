"""Commands of every kind, to be stored: what tests of the database have in common."""

from amqpd.broker import commands as c
from amqpd.wire import tables as t
from amqpd.wire.tables import Field, array, longstr, subtable

# A field of every type, nested, with a key that comes twice; text and bytes that are not text.
EVERY_TYPE = [
    ("bool", Field(t.BOOL, True)),
    ("byte", Field(t.BYTE, -1)),
    ("unsignedbyte", Field(t.UNSIGNED_BYTE, 255)),
    ("short", Field(t.SHORT, -32768)),
    ("unsignedshort", Field(t.UNSIGNED_SHORT, 65535)),
    ("signedint", Field(t.SIGNED_INT, -(2**31))),
    ("unsignedint", Field(t.UNSIGNED_INT, 2**32 - 1)),
    ("long", Field(t.LONG, -(2**63))),
    ("longlong", Field(t.LONG_ALIAS, 2**63 - 1)),
    ("float", Field(t.FLOAT, 0.5)),
    ("double", Field(t.DOUBLE, 0.1)),
    ("infinite", Field(t.DOUBLE, float("-inf"))),
    ("decimal", Field(t.DECIMAL, (2, 314))),
    ("longstr", longstr("grüße")),
    ("longstr", Field(t.LONGSTR, b"\xff\x00")),
    ("binary", Field(t.BINARY, b"\x00\x01")),
    ("timestamp", Field(t.TIMESTAMP, 2**64 - 1)),
    ("array", array([longstr("a"), array([]), Field(t.VOID, None)])),
    ("table", subtable([("b", longstr("1")), ("a", subtable([])), ("b", Field(t.BOOL, False))])),
    ("void", Field(t.VOID, None)),
]

TTL = [("x-message-ttl", Field(t.SIGNED_INT, 60000)), ("x-queue-mode", longstr("lazy"))]

# In the order in which a store gives them back: by kind, then by key.
EVERY_KIND = [
    c.PutVHost("/"),
    c.PutVHost("Zürich", "Büro", ("a", "ü"), "quorum"),
    c.PutUser("ann", "cGFzcw==", "rabbit_password_hashing_sha256", ("administrator", "monitoring")),
    c.PutUser("bob", "", "argon2"),
    c.PutPermission("ann", "/", ".*", ".*", ".*"),
    c.PutPermission("ann", "Zürich", "", "^orders-", ".*"),
    c.PutPermission("bob", "/", "", "", "^orders-"),
    c.PutTopicPermission("bob", "/", "amq.topic", "^{username}-.*", ".*"),
    c.PutTopicPermission("bob", "/", "events", "", "^public"),
    c.PutExchange("/", "audit", "topic", True, True, True, EVERY_TYPE),
    c.PutExchange("/", "events", "headers", arguments=[("alternate-exchange", longstr("audit"))]),
    c.PutQueue("/", "orders", "classic", True, True, TTL, bytes(range(16))),
    c.PutQueue("/", "orders-late", "quorum", identity=b"\xff" * 16),
    c.PutQueue("Zürich", "orders", "stream", arguments=EVERY_TYPE, identity=b"an identity of s"),
    c.PutBinding("/", "amq.topic", "exchange", "events", "#"),
    c.PutBinding("/", "events", "exchange", "audit", ""),
    c.PutBinding("/", "events", "queue", "orders", "", [("x-match", longstr("any")), ("kind", longstr("order"))]),
    c.PutBinding("/", "events", "queue", "orders-late", "late"),
    c.PutPolicy("/", "ttl", "^orders", {"message-ttl": 1000, "x": [1.5, None, "ü"]}, "queues", 7),
    c.PutPolicy("/", "ttl", ".*", {"max-length": 10}, operator=True),
    c.PutGlobalParameter("cluster_name", "amqpd@häuschen"),
    c.PutGlobalParameter("nothing", None),
    c.PutParameter("/", "shovel", "move", {"src-uri": ["amqp://"], "ack-mode": "on-confirm"}),
    c.PutVHostLimit("/", "max-connections", 100),
    c.PutVHostLimit("/", "max-queues", -1),
    c.PutUserLimit("ann", "max-channels", 0),
]
