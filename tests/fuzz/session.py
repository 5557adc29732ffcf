"""Random sequences of methods from several clients on one broker, checked after every step.

The clients keep to the protocol most of the time, and share few names, so that what they do collides. A canary
publishes and gets one message after every step: whatever the others do, it must not notice.
"""

from fuzz import codec, invariants
from fuzz.choices import CAPABILITIES, Choices
from fuzz.node import Node, Socket
from fuzz.operations import LARGEST, Operations

from amqpd.protocol.states import RUNNING
from amqpd.wire import methods as m

STEPS_MAX = 400
CHANNELS = (1, 2, 40_000)
UNSENT_MAX = 20_000
UNSENT_STOP = 60_000
SMALL = 1000  # bytes of confirms and replies that may come on top of a content


class Channel:
    """What a client knows of its channel."""

    def __init__(self) -> None:
        self.last_tag = 0
        self.published = 0
        self.answered: set[int] = set()

    def received(self, method: codec.Method) -> None:
        if method.method == m.BASIC_DELIVER or method.method == m.BASIC_GET_OK:
            tag = method.arguments[1 if method.method == m.BASIC_DELIVER else 0]
            assert tag == self.last_tag + 1, "delivery tags are not consecutive"
            self.last_tag = tag
        elif method.method == m.BASIC_ACK or method.method == m.BASIC_NACK:
            self._answered(*method.arguments)

    def _answered(self, tag: int, bits: int) -> None:
        assert tag not in self.answered, "a publish was answered twice"
        first = 1 if bits & 1 else tag
        self.answered |= set(range(first, tag + 1))
        assert tag <= self.published, "an answer to what was never published"


class Client:
    """One connection, and the channels that it has open."""

    def __init__(self, node: Node, choices: Choices) -> None:
        self.node = node
        self.capable = choices.number(2) == 0
        self.channels: dict[int, Channel] = {}
        self.closing: set[int] = set()
        self.sure_to_answer = True
        frame_max = choices.of((131_072, 8192))
        heartbeat = choices.of((0, 0, 2))
        self.socket: Socket = node.open(frame_max, CAPABILITIES if self.capable else b"", heartbeat)

    @property
    def usable(self) -> bool:
        connection = self.socket.connection
        return not self.socket.gone and connection.state == RUNNING and not connection.paused

    def read(self) -> list[codec.Method]:
        """Take note of what has arrived, and answer a close."""
        taken = self.socket.taken()
        for method in taken:
            number = method.channel
            if method.method == m.CHANNEL_OPEN_OK:
                self.channels[number] = Channel()
            elif method.method == m.CHANNEL_CLOSE:
                assert number in self.channels
                del self.channels[number]
                self.closing.add(number)
            elif method.method == m.CHANNEL_CLOSE_OK:
                self.channels.pop(number, None)
                self.closing.discard(number)
            elif method.method == m.BASIC_CANCEL or method.method == m.CONNECTION_BLOCKED:
                assert self.capable
            elif method.method == m.CONNECTION_CLOSE:
                assert method.arguments[0] != 541, method.arguments
                self.channels.clear()
                self.node.send(self.socket, codec.method(0, m.CONNECTION_CLOSE_OK))
                assert self.socket.gone
            elif number:
                assert number in self.channels, f"{method.name} on a channel that is closed"
                self.channels[number].received(method)
        return taken


class Session:
    """The run. `finish` closes everything and looks for what is left."""

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.node = Node(unsent_max=UNSENT_MAX, unsent_stop=UNSENT_STOP, max_message_size=50_000)
        self.canary = self.node.open()
        self.node.send(
            self.canary, codec.method(1, m.CHANNEL_OPEN, b""), codec.method(1, m.QUEUE_DECLARE, 0, b"canary", 4, b"")
        )
        self.canary.taken()
        self.clients = [Client(self.node, choices) for _ in range(3)]

    def run(self) -> None:
        for _ in range(STEPS_MAX):
            if not self.choices.more():
                break
            self.step()
        self.finish()

    def step(self) -> None:
        number = self.choices.number(len(self.clients))
        client = self.clients[number]
        if client.socket.gone:
            client = self.clients[number] = Client(self.node, self.choices)
        kind = self.choices.number(24)
        if not client.usable and self.choices.number(4) == 0:
            self.node.broker.alarms.clear_for("memory", "fuzz")
        if not client.socket.reading and self.choices.number(16) == 0:
            client.socket.reading = True
            client.socket.flush()
        self.node.rest()
        if kind == 23:
            self._event(client)
        elif client.usable:
            self._method(client)
        for other in self.clients:
            other.read()
        self.check()

    def _event(self, client: Client) -> None:
        """Something that is no method."""
        kind = self.choices.number(12)
        node = self.node
        if kind < 5 or kind > 9:
            node.wait(self.choices.of((0, 1, 60, 1000, 3500, 200_000)))
        elif kind == 5:
            client.socket.reading = not client.socket.reading
            client.socket.flush()
            node.rest()
        elif kind == 6:
            node.lose(client.socket)
        elif kind == 7:
            alarms = node.broker.alarms
            if alarms.is_raised("memory"):
                alarms.clear_for("memory", "fuzz")
            else:
                alarms.raise_for("memory", "fuzz")
            node.rest()
        elif kind == 8 and client.usable:
            node.send(client.socket, codec.method(0, m.CONNECTION_CLOSE, 200, b"", 0))
            assert client.socket.gone
        elif client.usable:
            node.send(client.socket, self.choices.raw(self.choices.number(20)) + b"\xce" * 8)

    def _method(self, client: Client) -> None:
        choices = self.choices
        number = choices.of(CHANNELS)
        channel = client.channels.get(number)
        if channel is None:
            # What the client has not read yet it may not have seen: then a channel may be open already.
            if number in client.closing:
                self.node.send(client.socket, codec.method(number, m.CHANNEL_CLOSE_OK))
                client.closing.discard(number)
            elif client.socket.reading:
                self.node.send(client.socket, codec.method(number, m.CHANNEL_OPEN, b""))
            return
        core = client.socket.connection.channels.get(number)
        if core is None or core.closing:
            return  # closed by the broker, which this client has not read yet
        confirming = core.publisher.confirms is not None
        data, answer = Operations(choices, core).method()
        if answer == m.BASIC_PUBLISH and confirming:
            channel.published += 1
        self.node.send(client.socket, data)
        reading = client.socket.reading
        received = {method.method for method in client.read() if method.channel == number}
        if not reading or number not in client.channels or not client.usable:
            return
        if answer == m.BASIC_PUBLISH:
            if confirming:
                assert len(channel.answered) == channel.published, "a publish without an answer"
        elif answer == m.BASIC_GET_OK:
            assert received & {m.BASIC_GET_OK, m.BASIC_GET_EMPTY}
        elif answer:
            assert answer in received, f"no {m.NAMES[answer]}"

    def check(self) -> None:
        invariants.check(self.node.broker)
        for client in self.clients:
            # What a client does not read is bounded: one content above the mark.
            assert len(client.socket.connection.out) == 0
            assert len(client.socket.pending) <= UNSENT_STOP + LARGEST + SMALL
        if self.node.broker.alarms.active:
            return
        publish = codec.publish(1, b"", b"canary", 0, b"\x00\x00", b"sing")
        self.node.send(self.canary, publish + codec.method(1, m.BASIC_GET, 0, b"canary", 1))
        answer = self.canary.taken()
        assert [(method.name, method.body) for method in answer] == [("basic.get-ok", b"sing")]

    def finish(self) -> None:
        """Everybody leaves, in one way or another."""
        for client in self.clients:
            if client.usable and self.choices.number(2):
                self.node.send(client.socket, codec.method(0, m.CONNECTION_CLOSE, 200, b"", 0))
                assert client.socket.gone
            self.node.lose(client.socket)
        self.node.lose(self.canary)
        invariants.check_empty(self.node.broker)
        self.node.wait(400_000)
        invariants.check_empty(self.node.broker)
        invariants.check_timers(self.node.broker)
