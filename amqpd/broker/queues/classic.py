"""The classic queue: one node, FIFO within each priority. What is persistent in a durable one survives restarts.

Takes part in everything of `behaviour.md` sections 4, 7, 8, 10, 11 and 14. What limits, TTL, priorities and dead
letters cost is paid only by queues and messages that use them: an ordinary publish is `publish`, without its calls. All
of them but priorities can change at any time, for what is queued too (`follow_policies`).

A ready list knows what its messages are on disk, if they are; the queue says what becomes of what it took from there:
`lend` what may come back, `settle` what is gone for good. A dead letter is settled after it was published.

Invariants: a message is ready, unacknowledged, or gone. While consumers wait in the ring and would accept, nothing is
ready (every operation that could break that ends in `dispatch`). `ready_bytes` counts the bodies of ready messages.
Dead letters are handed to the broker, which publishes them after the current operation: nothing here recurses.

There may be very many queues, so what few of them need is made when it is needed first: timers, levels, consumers. A
queue that was closed refers to nothing that refers to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from amqpd.broker import deadletter
from amqpd.broker.consumers import Consumer, Consumers
from amqpd.broker.message import Message, Unacked
from amqpd.broker.queues.contract import Fetched, Queue
from amqpd.broker.queues.ready import ReadyList
from amqpd.broker.queues.settings import settings_of
from amqpd.broker.timers import Timer
from amqpd.errors import access_refused
from amqpd.wire.tables import Table

if TYPE_CHECKING:
    from amqpd.broker.ports import Owner
    from amqpd.broker.vhost import VHost


LET_GO_AT_ONCE: Final = 1000  # messages; more that expire, or are too many, follow a moment later
NOBODY: Final = Consumers(False)  # of all queues that never had a consumer; it stays empty
_SCANNED_A_STEP: Final = 64  # consumers that leaving a ring passes by in the time of one step of work


class ExpiryTimer(Timer):
    """Due when the message at the head expires."""

    def __init__(self, queue: ClassicQueue) -> None:
        super().__init__()
        self.queue: Final = queue

    def fire(self, now_ms: int) -> None:
        if self.queue.expire():
            self.queue.dispatch()


class SurplusTimer(Timer):
    """Due when there is more to drop than can be dropped at once."""

    def __init__(self, queue: ClassicQueue) -> None:
        super().__init__()
        self.queue: Final = queue

    def fire(self, now_ms: int) -> None:
        self.queue.dispatch()


class UnusedTimer(Timer):
    """Due when the queue was not used for its x-expires."""

    def __init__(self, queue: ClassicQueue) -> None:
        super().__init__()
        self.queue: Final = queue

    def fire(self, now_ms: int) -> None:
        self.queue.vhost.remove_queue(self.queue)


class ClassicQueue(Queue):
    """A classic queue. Messages are published, fetched and dispatched at `vhost.broker.now_ms`."""

    def __init__(
        self, vhost: VHost, name: str, durable: bool, auto_delete: bool, arguments: Table, owner: Owner | None
    ) -> None:
        super().__init__(vhost, name, durable, auto_delete, arguments, owner)
        settings = settings_of(arguments, {})
        self.settings = settings
        self.consumers = NOBODY
        self.ready: Final = self._new_level(0)  # the only level of a queue without priorities
        self.levels: Final = [self.ready]  # those that were needed so far, the highest priority last
        self.ready_messages = 0
        self.ready_bytes = 0
        self.unacked_messages = 0
        self.plain = settings.plain
        self.direct = settings.direct
        self.expiring = settings.message_ttl_ms >= 0
        self.ack_timeout_ms = settings.consumer_timeout_ms
        self._expiry: ExpiryTimer | None = None
        self._unused: UnusedTimer | None = None
        self._surplus: SurplusTimer | None = None
        self.touch()

    def _new_level(self, priority: int) -> ReadyList:
        broker = self.vhost.broker
        keeper = broker.keeper
        return ReadyList(priority, broker.footprint) if keeper is None else keeper.level(self, priority)

    def level(self, priority: int) -> ReadyList:
        """The messages of a priority, which is at most the highest that the queue knows."""
        levels = self.levels
        at = len(levels)
        while levels[at - 1].priority > priority:
            at -= 1
        if levels[at - 1].priority < priority:
            levels.insert(at, self._new_level(priority))
            return levels[at]
        return levels[at - 1]

    def ready_lists(self) -> list[ReadyList]:
        return self.levels

    def restored(self, delay_ms: int) -> None:
        """Its lists have got the messages that were there when the node stopped.

        What is past its time goes after `delay_ms`: to find out, the head may have to be read from disk.
        """
        self.ready_messages = sum([len(level) for level in self.levels])
        self.ready_bytes = sum([level.restored_bytes for level in self.levels])
        self.expiring = self.ready_messages > 0
        if self.settings.limited:
            self._shorten()
        self._expire_at(self.vhost.broker.now_ms + delay_ms)

    def head_is_paged(self) -> bool:
        """Whether the message that comes next has to be read from disk."""
        return self._head_level().head_is_paged()

    def follow_policies(self, definition: dict[str, object]) -> None:
        settings = settings_of(self.arguments, definition)
        self.settings = settings
        self.plain = settings.plain
        self.direct = settings.direct
        self.expiring = settings.message_ttl_ms >= 0 or (self.expiring and self.ready_messages > 0)
        self.ack_timeout_ms = settings.consumer_timeout_ms
        self._cancel(self._unused)
        self.touch()
        self.dispatch()

    def ready_count(self) -> int:
        return self.ready_messages

    def paged_out_count(self) -> int:
        """How many ready messages are on disk alone."""
        return sum([level.paged_out_count() for level in self.levels])

    def consumer_count(self) -> int:
        return len(self.consumers.all)

    # -- messages come

    def publish(self, message: Message) -> bool:
        if not self.direct:
            return self._publish_checked(message)
        if self.ready_messages == 0:
            consumer = self.consumers.take()
            if consumer is not None:
                kept = not consumer.no_ack
                if kept:
                    self.unacked_messages += 1
                consumer.sink.deliver(consumer, message, self.ready.pass_by(message, kept), False)
                return True
        if not self.plain or message.expiration_ms >= 0:
            self._keep_checked(message, self.ready)
            return True
        self.ready.append(message)
        self.ready_messages += 1
        self.ready_bytes += message.size
        return True

    def _publish_checked(self, message: Message) -> bool:
        """The same where there are priorities, or a message may be refused."""
        settings = self.settings
        if settings.overflow != "drop-head" and self._overflows(1, message.size):
            if settings.overflow == "reject-publish-dlx":
                self._dead_letter(None, message, deadletter.MAXLEN)
            return False
        level = self._level_of(message)
        if self.ready_messages == 0:
            consumer = self.consumers.take()
            if consumer is not None:
                kept = not consumer.no_ack
                if kept:
                    self.unacked_messages += 1
                consumer.sink.deliver(consumer, message, level.pass_by(message, kept), False)
                return True
        self._keep_checked(message, level)
        return True

    def _keep_checked(self, message: Message, level: ReadyList) -> None:
        """A message has to wait that has a time to live, or does so in a queue that has limits."""
        if message.expiration_ms >= 0:
            self.expiring = True
        level.append(message)
        self.ready_messages += 1
        self.ready_bytes += message.size
        self._shorten()
        self.expire()

    def _overflows(self, messages: int, size: int) -> bool:
        settings = self.settings
        if 0 <= settings.max_length < self.ready_messages + messages:
            return True
        return 0 <= settings.max_length_bytes < self.ready_bytes + size

    def _shorten(self) -> None:
        """Drop from the head until the queue keeps its length (x-overflow drop-head), or LET_GO_AT_ONCE."""
        if self.settings.overflow != "drop-head":
            return
        for _ in range(LET_GO_AT_ONCE):
            if not self.ready_messages or not self._overflows(0, 0):
                return
            self._let_go(self._head_level(), deadletter.MAXLEN)
        if self._surplus is None:
            self._surplus = SurplusTimer(self)
        broker = self.vhost.broker
        broker.timers.schedule(self._surplus, broker.now_ms + 1)

    # -- time passes

    def expire(self) -> bool:
        """Let the head go while it is past its time, and see to it that the next one is not missed.

        Only the head of the whole queue expires: what is overdue behind it waits for its turn (RabbitMQ: ttl.md).
        False after LET_GO_AT_ONCE of them, while the next may be overdue too: the rest goes in a moment.
        """
        if not self.expiring:
            return True
        broker = self.vhost.broker
        for _ in range(LET_GO_AT_ONCE):
            level = self._head_level()
            due_ms = -1
            if self.ready_messages:
                due_ms = self._deadline(level.peek())
            else:
                self.expiring = self.settings.message_ttl_ms >= 0  # nothing is here that has a time of its own
            if due_ms < 0:
                self._cancel(self._expiry)
                return True
            if due_ms > broker.now_ms:
                self._expire_at(due_ms)
                return True
            self._let_go(level, deadletter.EXPIRED)
        self._expire_at(broker.now_ms + 1)
        return False

    def _expire_at(self, due_ms: int) -> None:
        if self._expiry is None:
            self._expiry = ExpiryTimer(self)
        self.vhost.broker.timers.schedule(self._expiry, due_ms)

    def _cancel(self, timer: Timer | None) -> None:
        if timer is not None:
            self.vhost.broker.timers.cancel(timer)

    def _deadline(self, message: Message) -> int:
        """When `message` expires in this queue (ms), or -1: the lesser of its own and the queue's time to live."""
        ttl_ms = self.settings.message_ttl_ms
        if message.expiration_ms >= 0 and (ttl_ms < 0 or message.expiration_ms < ttl_ms):
            ttl_ms = message.expiration_ms
        return max(0, message.arrived_ms + ttl_ms) if ttl_ms >= 0 else -1  # it may have come before this node started

    def touch(self) -> None:
        if self.settings.expires_ms < 0:
            return
        if self.consumers.all:
            self._cancel(self._unused)
            return
        if self._unused is None:
            self._unused = UnusedTimer(self)
        broker = self.vhost.broker
        broker.timers.schedule(self._unused, broker.now_ms + self.settings.expires_ms)

    # -- messages go

    def dispatch(self) -> None:
        if self.returning:
            return
        if self.settings.limited:
            self._shorten()  # what came back may be too much, judged once all of it is here (RabbitMQ)
        while self.ready_messages and (not self.expiring or self.expire()) and self.ready_messages:
            consumer = self.consumers.take()
            if consumer is None:
                break
            level = self._head_level()
            message = self._pop(level)
            if consumer.no_ack:
                level.settle(level.position, message)
            else:
                level.lend(message)
                self.unacked_messages += 1
            consumer.sink.deliver(consumer, message, level.position, level.redelivered)

    def fetch(self, keep: bool) -> Fetched | None:
        self.touch()
        while not self.expire():
            pass
        if not self.ready_messages:
            return None
        level = self._head_level()
        message = self._pop(level)
        position = level.position
        redelivered = level.redelivered or message.redelivered
        if keep:
            level.lend(message)
            self.unacked_messages += 1
        else:
            level.settle(position, message)
        self.expire()
        return Fetched(message, position, redelivered, self.ready_messages)

    def _head_level(self) -> ReadyList:
        """The highest priority that has a message, or the lowest where nothing is ready."""
        if len(self.levels) == 1:
            return self.ready
        for level in reversed(self.levels):
            if len(level):
                return level
        return self.ready

    def _level_of(self, message: Message) -> ReadyList:
        priority = min(message.priority, self.settings.highest_priority)
        return self.ready if priority <= 0 else self.level(priority)

    def _pop(self, level: ReadyList) -> Message:
        message = level.pop()
        self.ready_messages -= 1
        self.ready_bytes -= message.size
        if level.drift:
            self.ready_bytes += level.drift
            level.drift = 0
        return message

    # -- deliveries are settled

    def acknowledge(self, unacked: Unacked) -> None:
        self.unacked_messages -= 1
        message = unacked.message
        if message.persistent and self.durable:
            self._level_of(message).settle(unacked.position, message)

    def requeue(self, unacked: Unacked) -> None:
        self.unacked_messages -= 1
        if self.deleted:
            return
        message = unacked.message
        if message.expiration_ms >= 0:
            self.expiring = True
        self._level_of(message).put_back(unacked.position, message)
        self.ready_messages += 1
        self.ready_bytes += message.size

    def reject(self, unacked: Unacked, marked: bool) -> None:
        self.unacked_messages -= 1
        if not self.deleted:
            message = unacked.message
            self._dead_letter(self._level_of(message), message, deadletter.REJECTED, unacked.position, marked)

    def _let_go(self, level: ReadyList, reason: str) -> None:
        """The head of `level` need not wait any more."""
        message = self._pop(level)
        level.lend(message)
        self._dead_letter(level, message, reason, level.position)

    def _dead_letter(
        self, level: ReadyList | None, message: Message, reason: str, position: int = -1, marked: bool = False
    ) -> None:
        """Let a message go that was taken from `level`, or from none."""
        exchange = self.settings.dead_letter_exchange
        if exchange is not None:
            key = self.settings.dead_letter_routing_key
            letter = deadletter.DeadLetter(self, message, reason, exchange, key, marked, level, position)
            self.vhost.broker.dead_letter(letter)
        elif level is not None:
            level.settle(position, message)

    # -- consumers

    def consume(self, consumer: Consumer) -> None:
        if self.consumers is NOBODY:
            self.consumers = Consumers(self.settings.single_active_consumer)
        consumers = self.consumers
        taken = consumers.exclusive or (consumer.exclusive and (len(consumers) > 0 or consumers.single_active))
        if taken:
            raise access_refused(f"{self.described()} in exclusive use")
        consumers.add(consumer)
        self.touch()

    def cancel(self, consumer: Consumer) -> None:
        if consumer.cancelled:
            return
        self.vhost.broker.spend(len(self.consumers) // _SCANNED_A_STEP)
        self.consumers.remove(consumer)
        if self.auto_delete and not self.consumers.all:
            self.vhost.remove_queue(self)
            return
        self.touch()

    def wake(self, consumer: Consumer) -> None:
        self.consumers.wake(consumer)

    # -- the whole queue

    def purge(self) -> int:
        count = self.ready_messages
        for level in self.levels:
            level.clear()
        self.ready_messages = 0
        self.ready_bytes = 0
        self.expire()
        return count

    def close(self) -> int:
        self.deleted = True
        keeper = self.vhost.broker.keeper
        for level in self.levels:
            if keeper is not None and level.log is not None:
                keeper.forget(level.log)
        count = self.purge()
        for timer in (self._expiry, self._unused, self._surplus):
            self._cancel(timer)
        self._expiry = self._unused = self._surplus = None
        self.owner = None
        for consumer in list(self.consumers.all):
            self.consumers.remove(consumer)
            consumer.sink.consumer_cancelled(consumer)
        return count
