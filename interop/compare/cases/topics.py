"""Section 5.1: which topic binding matches which routing key."""

from __future__ import annotations

from ..bench import Bench, case, rows

MATCH = [
    ("#", ""),
    ("#", "a"),
    ("#", "a.b.c"),
    ("#", "."),
    ("#", ".."),
    ("", ""),
    ("", "a"),
    ("", "."),
    ("*", ""),
    ("*", "a"),
    ("*", "a.b"),
    ("*", "."),
    ("*.#", ""),
    ("*.#", "a"),
    ("*.#", "a.b.c"),
    ("#.*", ""),
    ("#.*", "a"),
    ("a.#", "a"),
    ("a.#", "a."),
    ("a.#", "a.b"),
    ("a.#", "a.b.c"),
    ("a.#", "ab"),
    ("a.#", "b.a"),
    ("a.*", "a."),
    ("a.*", "a"),
    ("a.*", "a.b"),
    ("a.*", "a.b.c"),
    ("*.a", ".a"),
    ("*.a", "b.a"),
    ("*.a", "a"),
    ("#.a", "a"),
    ("#.a", ".a"),
    ("#.a", "b.c.a"),
    ("a.*.b", "a..b"),
    ("a.*.b", "a.x.b"),
    ("a.*.b", "a.b"),
    ("a.#.b", "a.b"),
    ("a.#.b", "a..b"),
    ("a.#.b", "a.x.y.b"),
    ("a.#.b", "a.b.c"),
    ("a.#.b", "a.b.b"),
    ("#.#", ""),
    ("#.#", "a"),
    ("#.#", "a.b"),
    ("*.*", "."),
    ("*.*", "a"),
    ("*.*", "a.b"),
    (".", "."),
    (".", ""),
    (".", "a."),
    ("a*", "ab"),
    ("a*", "a*"),
    ("a#", "ab"),
    ("a#", "a#"),
    ("**", "a"),
    ("##", "a.b"),
    ("A.b", "a.b"),
    ("a.b", "a.b"),
    ("a.b", "a.b."),
    ("a b.c", "a b.c"),
    ("é.*", "é.ü"),
    ("*.#.*", "a"),
    ("*.#.*", "a.b"),
    ("*.#.*", "a.b.c"),
    ("#.b.#", "b"),
    ("#.b.#", "a.b.c"),
    ("#.b.#", "a.c"),
    ("a.#.#", "a"),
    ("#.*.#", ""),
    ("#.*.#", "a"),
]


@rows("5.1 topic {0!r} against {1!r}", MATCH)
def match(b: Bench, binding: str, key: str) -> None:
    c = b.channel()
    q, x = c.queue(b.q()), c.exchange(b.x(), "topic")
    c.bind(q, x, binding)
    c.publish(x, key, b"1")
    c.bodies(q)


@rows(
    "5.1 a topic binding with many wildcards: {0!r}",
    [("#.#.#",), ("a.#.b.#.c.#",), ("#.#",), ("*.*.*.*.*",), ("a#.b#.c#.#",), ("##.##.##",)],
)
def wildcards(b: Bench, binding: str) -> None:
    c = b.channel()
    q, x = c.queue(b.q()), c.exchange(b.x(), "topic")
    c.send("queue.bind", queue=q, exchange=x, routing_key=binding)
    c.until("queue.bind-ok", "channel.close")


@case("5.1 a queue bound to some keys of a topic exchange, several queues")
def several(b: Bench) -> None:
    c = b.channel()
    x = c.exchange(b.x(), "topic")
    names: dict[str, str] = {}
    for key in ("stock.*.nyse", "stock.#", "*.usd.*", "#"):
        names[key] = c.queue(b.q(f"q{len(names)}"))
        c.bind(names[key], x, key)
    for key in ("stock.usd.nyse", "stock.usd.db", "stock", "quick.usd.fox", "other"):
        c.publish(x, key, key.encode())
    c.bodies(*names.values())


@case("5.1 unbind takes one pattern away and leaves the others")
def unbind(b: Bench) -> None:
    c = b.channel()
    q, r, x = c.queue(b.q("q")), c.queue(b.q("r")), c.exchange(b.x(), "topic")
    for queue in (q, r):
        c.bind(queue, x, "a.*")
        c.bind(queue, x, "a.b")
    c.call("queue.unbind", queue=q, exchange=x, routing_key="a.*")
    c.publish(x, "a.b", b"1")
    c.publish(x, "a.c", b"2")
    c.bodies(q, r)
