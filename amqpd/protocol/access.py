"""Who a connection is, and what it may do: the login, the questions put to the user's authority, credentials that end.

Each method asks before it does anything. An answer is remembered by the connection until access changes; the routes of
publishes are remembered for each user (`VHost.member`), so that a publish asks only where its route is not known.

An authority that must fetch an answer first (another process decides) makes `ask` raise AnswerPending: the connection
then pauses, and acts on the same frames again once the answer is there. That is why nothing may be changed before the
last question of a method.

Texts and order of the checks: RabbitMQ, rabbit_access_control and rabbit_channel; `docs/behaviour.md`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from amqpd.broker.ports import ALLOWED, PENDING, Login, LoginRefused, Question, User
from amqpd.broker.routing import described_exchange, described_queue
from amqpd.errors import access_refused
from amqpd.protocol.connectiontimer import ConnectionTimer

if TYPE_CHECKING:
    from amqpd.broker.routing import Exchange
    from amqpd.protocol.channel import Channel
    from amqpd.protocol.connection import Connection

log = logging.getLogger("amqpd.connection")

CONFIGURE: Final = "configure"
WRITE: Final = "write"
READ: Final = "read"
DEFAULT_EXCHANGE: Final = "amq.default"  # what permissions call the exchange without a name
TOPIC: Final = "topic"
ANSWERS_MAX: Final = 1000  # remembered by a connection; then it begins anew
WAITING_MS: Final = 1000


class AnswerPending(Exception):
    """The authority does not know yet: act on the frame again when it does."""

    def __init__(self, question: Question) -> None:
        super().__init__()
        self.question: Final = question


class Attempt(Login):
    """The login of one connection."""

    def __init__(self, connection: Connection, mechanism: str, response: bytes) -> None:
        super().__init__(mechanism, response, connection.peer)
        self._connection: Final = connection

    def succeed(self, user: User) -> None:
        self._connection.logged_in(self, user)

    def refuse(self, refusal: LoginRefused) -> None:
        self._connection.login_refused(self, refusal)


class Expiry(ConnectionTimer):
    """Due when the credentials of a connection run out."""

    def start(self, until_ms: int) -> None:
        """They do at the time of day `until_ms`."""
        broker = self.connection.broker
        broker.timers.schedule(self, broker.now_ms + max(0, until_ms - broker.wall_ms()))

    def fire(self, now_ms: int) -> None:
        self.connection.force_close("credential expired")


class Answers(ConnectionTimer):
    """What a connection's user may do, as far as it was asked. `clear` when it may have changed.

    It is a timer, due when what was allowed first of all holds no longer; nothing is due where it holds until a change.
    While `waiting` for one answer to a method, those before it stay, however many: the method asks for all of them.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._allowed: Final[dict[tuple[str, str, str, str], None]] = {}
        self.waiting = False

    def clear(self) -> None:
        """Ask again from now on."""
        self._allowed.clear()

    def fire(self, now_ms: int) -> None:
        if self.waiting:
            self.connection.broker.timers.schedule(self, now_ms + WAITING_MS)
        else:
            self.clear()
            self.connection.forget_routes()

    def allow(self, user: User, question: Question) -> bool:
        """Whether `user` may. Raises AnswerPending. Only what is allowed is remembered."""
        key = (question.kind, question.name, question.permission, question.routing_key)
        if key in self._allowed:
            return True
        if not _allows(user, question):
            return False
        if len(self._allowed) >= ANSWERS_MAX and not self.waiting:
            self._allowed.clear()
        if not self._allowed:
            self._start(user.authority.hold_ms())
        self._allowed[key] = None
        return True

    def _start(self, hold_ms: int) -> None:
        broker = self.connection.broker
        if hold_ms >= 0:
            broker.timers.schedule(self, broker.now_ms + hold_ms)


def may_use(channel: Channel, kind: str, name: str, permission: str) -> bool:
    """Whether the channel's user has `permission` on a queue or exchange. Raises AnswerPending."""
    question = Question(kind, channel.vhost.name, name, permission)
    return channel.connection.answers.allow(channel.user, question)


def check_queue(channel: Channel, name: str, permission: str) -> None:
    """Refuse what the user may not do with a queue, which need not exist. Raises 403, AnswerPending."""
    if not may_use(channel, "queue", name, permission):
        raise _refused(channel, described_queue(name, channel.vhost.name), permission)


def check_exchange(channel: Channel, name: str, permission: str) -> None:
    """Refuse what the user may not do with an exchange, which need not exist. Raises 403, AnswerPending."""
    name = name or DEFAULT_EXCHANGE
    if not may_use(channel, "exchange", name, permission):
        raise _refused(channel, described_exchange(name, channel.vhost.name), permission)


def check_any(channel: Channel, kind: str, name: str) -> None:
    """A passive declare takes any one permission (RabbitMQ 4.3.1 and later). Raises 403, AnswerPending."""
    if may_use(channel, kind, name, READ) or may_use(channel, kind, name, WRITE):
        return
    if kind == "queue":
        check_queue(channel, name, CONFIGURE)
    else:
        check_exchange(channel, name, CONFIGURE)


def check_topic(channel: Channel, exchange: Exchange | None, key: str, permission: str) -> None:
    """Refuse a routing key that the user may not use with a topic exchange. Raises 403, AnswerPending."""
    if exchange is None or exchange.type_name != TOPIC:
        return
    vhost = channel.vhost.name
    if not channel.connection.answers.allow(channel.user, Question(TOPIC, vhost, exchange.name, permission, key)):
        raise access_refused(
            f"{permission} access to topic '{key}' in exchange '{exchange.name}' in vhost '{vhost}' refused for user "
            f"'{channel.user.name}'"
        )


def may_enter(user: User, vhost: str) -> bool:
    """Whether the user may use a vhost at all; asked once, so not remembered. Raises AnswerPending."""
    return _allows(user, Question("vhost", vhost))


def _allows(user: User, question: Question) -> bool:
    answer = user.authority.check(user, question)
    if answer == PENDING:
        raise AnswerPending(question)
    return answer == ALLOWED


def _refused(channel: Channel, subject: str, permission: str) -> Exception:
    return access_refused(f"{permission} access to {subject} refused for user '{channel.user.name}'")


def recheck_consumers(channel: Channel) -> None:
    """Access has changed: consumers that may no longer read their queue are cancelled, and told so."""
    for consumer in list(channel.consumers.values()):
        if consumer.queue is channel.reply_queue:
            continue
        question = Question("queue", channel.vhost.name, consumer.queue.name, READ)
        answer = channel.user.authority.check(channel.user, question)
        if answer != ALLOWED and answer != PENDING:
            log.warning(
                "consumer '%s' cancelled: read access to %s was withdrawn",
                consumer.tag,
                consumer.queue.described(),
                extra=channel.connection.log_fields(channel.number),
            )
            queue = consumer.queue
            queue.cancel(consumer)
            channel.consumer_cancelled(consumer)
            queue.dispatch()
