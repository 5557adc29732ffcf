"""The methods of a random client: which one, and with what, given what there is.

Looks into the broker for names, tags and outstanding deliveries, so that most of what it asks for makes sense; now and
then it asks for something that does not.
"""

from fuzz import codec
from fuzz.choices import EXCHANGES, KEYS, Choices

from amqpd.wire import methods as m

BODIES = (b"", b"x", b"y" * 100, b"z" * 9000)
LARGEST = 10_000  # bytes of the largest content with its method
TAGS = (b"s", b"t", b"\xc3\xa9" * 100)
REPLY_TO = b"amq.rabbitmq.reply-to"


class Operations:
    """For one open channel; `core` is the broker's side of it."""

    def __init__(self, choices: Choices, core) -> None:
        self.choices = choices
        self.core = core
        self.number = core.number

    def method(self) -> tuple[bytes, int]:
        """A frame (or three), and the number of its answer: 0 for none, BASIC_PUBLISH for a publish."""
        kind = self.choices.number(40)
        if not self.core.vhost.queues.keys() - {"canary"}:
            return self._declare()
        if kind < 14:
            return self.publish(), m.BASIC_PUBLISH
        if kind < 21:
            return self.settle()
        if kind < 30:
            return self.deliver()
        if kind < 38:
            return self.topology()
        return self.mode()

    def _frame(self, method: int, *arguments: int | bytes) -> bytes:
        return codec.method(self.number, method, *arguments)

    # -- what there is

    def queue(self) -> bytes:
        """A queue that this client may use, most of the time."""
        choices = self.choices
        connection = self.core.connection
        names = [name for name, queue in self.core.vhost.queues.items() if queue.owner in (None, connection)]
        names = [name for name in names if name != "canary"]
        if not names or choices.chance(20):
            return choices.name()
        return choices.of(sorted(names)).encode("utf-8", "surrogateescape")

    def exchange(self) -> bytes:
        """An exchange that can be published to, most of the time."""
        choices = self.choices
        names = sorted(name for name, exchange in self.core.vhost.exchanges.items() if name and not exchange.internal)
        if choices.chance(20):
            return choices.of(EXCHANGES)
        return choices.of(names).encode()

    # -- methods

    def publish(self) -> bytes:
        choices = self.choices
        if choices.number(3) == 0:
            exchange, key = self.exchange(), choices.of(KEYS)
        else:
            exchange, key = b"", self.queue()
            if choices.chance(12) and self.core.vhost.reply_queues:
                key = choices.of(sorted(self.core.vhost.reply_queues)).encode()
        bits = 1 if choices.number(4) == 3 else 0
        return codec.publish(self.number, exchange, key, bits, choices.properties(), choices.of(BODIES))

    def settle(self) -> tuple[bytes, int]:
        """ack, nack, reject, recover: of what is outstanding."""
        choices = self.choices
        tags = [unacked.tag for unacked in self.core.deliveries.outstanding()]
        if not tags:
            return self._frame(m.BASIC_GET, 0, self.queue(), 0), m.BASIC_GET_OK
        kind = choices.number(12)
        if kind == 11:
            return self._frame(m.BASIC_RECOVER, 1), m.BASIC_RECOVER_OK
        if kind == 10:
            return self._frame(m.BASIC_RECOVER_ASYNC, 1), 0
        tag = choices.of((0, 1, 2**63, 2**64 - 1, 1000)) if choices.chance(60) else choices.of(tags)
        multiple = int(choices.number(3) == 2)
        if kind < 4:
            return self._frame(m.BASIC_ACK, tag, multiple), 0
        if kind < 7:
            return self._frame(m.BASIC_NACK, tag, multiple | 2 * choices.number(2)), 0
        return self._frame(m.BASIC_REJECT, tag, choices.number(2)), 0

    def deliver(self) -> tuple[bytes, int]:
        """consume, cancel, get, qos."""
        choices = self.choices
        kind = choices.number(10)
        if kind < 4:
            return self._consume()
        if kind < 6:
            tags = sorted(self.core.consumers)
            tag = choices.of(tags).encode("utf-8", "surrogateescape") if tags else b"s"
            nowait = int(choices.chance(4))
            return self._frame(m.BASIC_CANCEL, tag, nowait), 0 if nowait else m.BASIC_CANCEL_OK
        if kind < 8:
            return self._frame(m.BASIC_GET, 0, self.queue(), choices.number(2)), m.BASIC_GET_OK
        return self._frame(m.BASIC_QOS, 0, choices.of((0, 1, 2, 5)), int(choices.chance(3))), m.BASIC_QOS_OK

    def _consume(self) -> tuple[bytes, int]:
        choices = self.choices
        bits = choices.of((0, 0, 0, 0, 2, 4, 8, 10))
        arguments = b"\x0ax-priority" + choices.integer() if choices.chance(4) else b""
        queue = self.queue()
        if choices.chance(8) and self.core.reply_queue is None:
            queue, bits = REPLY_TO, 2
        used = {tag.encode("utf-8", "surrogateescape") for tag in self.core.consumers}
        free = [tag for tag in TAGS if tag not in used or choices.chance(60)]
        answer = 0 if bits & 8 else m.BASIC_CONSUME_OK
        return self._frame(m.BASIC_CONSUME, 0, queue, choices.of([b"", *free]), bits, arguments), answer

    def topology(self) -> tuple[bytes, int]:
        """Declare, delete, bind, unbind, purge."""
        choices = self.choices
        kind = choices.number(16)
        if kind < 7:
            return self._declare()
        key, arguments = choices.of(KEYS), choices.binding_arguments()
        if kind < 11:
            return self._frame(m.QUEUE_BIND, 0, self.queue(), self.exchange(), key, 0, arguments), m.QUEUE_BIND_OK
        if kind == 11:
            return self._unbind()
        if kind == 12:
            method, answer = choices.of(
                ((m.EXCHANGE_BIND, m.EXCHANGE_BIND_OK), (m.EXCHANGE_UNBIND, m.EXCHANGE_UNBIND_OK))
            )
            return self._frame(method, 0, self.exchange(), self.exchange(), key, 0, arguments), answer
        if kind == 13:
            return self._frame(m.QUEUE_PURGE, 0, self.queue(), 0), m.QUEUE_PURGE_OK
        if kind == 14:
            return self._frame(m.QUEUE_DELETE, 0, self.queue(), choices.number(4)), m.QUEUE_DELETE_OK
        own = [name for name in (b"x", b"y", b"z") if name.decode() in self.core.vhost.exchanges]
        exchange = choices.of(own) if own else b"x"
        return self._frame(m.EXCHANGE_DELETE, 0, exchange, choices.number(2)), m.EXCHANGE_DELETE_OK

    def _declare(self) -> tuple[bytes, int]:
        choices = self.choices
        if choices.number(4) == 3:
            bits = choices.of((0, 0, 4, 8, 2))
            types = (b"direct", b"fanout", b"topic", b"headers", b"topic", b"fanout", b"nosuch")
            arguments = b"\x12alternate-exchange" + choices.text() if choices.chance(4) else b""
            taken = self.core.vhost.exchanges
            names = [name for name in (b"x", b"y", b"z") if name.decode() not in taken or choices.chance(30)] or [b"x"]
            data = self._frame(m.EXCHANGE_DECLARE, 0, choices.of(names), choices.of(types), bits, arguments)
            return data, m.EXCHANGE_DECLARE_OK
        bits = choices.of((0, 0, 0, 2, 4, 8, 12, 16))
        name = choices.name()
        if name.decode("utf-8", "replace") in self.core.vhost.queues:
            bits = choices.of((1, 1, 1, bits))
        data = self._frame(m.QUEUE_DECLARE, 0, name, bits, choices.queue_arguments())
        return data, 0 if bits & 16 else m.QUEUE_DECLARE_OK

    def _unbind(self) -> tuple[bytes, int]:
        """One of the bindings there are."""
        vhost = self.core.vhost
        bound = [(name, binding) for name, queue in vhost.queues.items() for binding in queue.incoming.values()]
        if not bound:
            return self._frame(m.QUEUE_UNBIND, 0, self.queue(), self.exchange(), b"a", b""), m.QUEUE_UNBIND_OK
        name, binding = self.choices.of(bound)
        texts = [text.encode("utf-8", "surrogateescape") for text in (name, binding.source.name, binding.key)]
        return self._frame(m.QUEUE_UNBIND, 0, *texts, b""), m.QUEUE_UNBIND_OK

    def mode(self) -> tuple[bytes, int]:
        """Transactions, confirms, close, and methods that are rarely seen."""
        choices = self.choices
        kind = choices.number(12)
        publisher = self.core.publisher
        if publisher.transaction is not None and kind < 8:
            return choices.of(
                (
                    (self._frame(m.TX_COMMIT), m.TX_COMMIT_OK),
                    (self._frame(m.TX_COMMIT), m.TX_COMMIT_OK),
                    (self._frame(m.TX_ROLLBACK), m.TX_ROLLBACK_OK),
                )
            )
        if kind < 4:
            return self._frame(m.CONFIRM_SELECT, 0), m.CONFIRM_SELECT_OK
        if kind < 8:
            return self._frame(m.TX_SELECT), m.TX_SELECT_OK
        if kind == 8:
            return self._frame(m.ACCESS_REQUEST, b"/data", 0), m.ACCESS_REQUEST_OK
        if kind == 9:
            return self._frame(m.CHANNEL_FLOW, choices.of((1, 1, 0))), m.CHANNEL_FLOW_OK
        return self._frame(m.CHANNEL_CLOSE, 200, b"", 0), m.CHANNEL_CLOSE_OK
