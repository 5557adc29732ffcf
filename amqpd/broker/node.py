"""A node's broker: its vhosts, and what they share (time, timers, alarms, limits, exchange types, events).

The way in, for whoever drives it: set the time by `at`, call a connection or `tick`, then `flush`. Nothing here waits.

`now_ms` is a monotonic clock's; `wall_ms` adds what makes it the time of day. Both are the caller's: the broker never
reads a clock.
"""

from __future__ import annotations

import base64
import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from amqpd.broker.alarms import Alarms
from amqpd.broker.arguments import SharedTables
from amqpd.broker.deadletter import REJECTED
from amqpd.broker.events import Events
from amqpd.broker.exchanges.contract import Registry
from amqpd.broker.exchanges.types import built_in
from amqpd.broker.limits import Limits
from amqpd.broker.ports import Catalogue, Owner
from amqpd.broker.queues.ready import Footprint
from amqpd.broker.timers import Timer, Timers
from amqpd.broker.vhost import VHost
from amqpd.errors import StorageError

if TYPE_CHECKING:
    from amqpd.broker.deadletter import DeadLetter
    from amqpd.broker.persistence.keeper import Keeper


LETTERS_A_ROUND: Final = 500
WORK_A_TURN: Final = 10_000  # queues that took a message, bindings that were tried: some milliseconds

log = logging.getLogger("amqpd.node")


class SettleTimer(Timer):
    """Due when dead letters are left over from a round: the flush after it goes on with them."""

    def fire(self, now_ms: int) -> None:
        """Nothing: the end of the round that this timer causes settles."""


class AfterLetters:
    """`callback` is due when so many letters have been published."""

    def __init__(self, published: int, callback: Callable[[], None]) -> None:
        self.published: Final = published
        self.callback: Final = callback


class Usage:
    """What a user has open on this node."""

    def __init__(self) -> None:
        self.connections = 0
        self.channels = 0


class Broker:
    """One node. `random` returns that many random bytes; `offset_ms` is the time of day minus `now_ms`."""

    def __init__(
        self,
        limits: Limits,
        catalogue: Catalogue,
        random: Callable[[int], bytes],
        name: str,
        exchange_types: Registry | None = None,
    ) -> None:
        self.limits: Final = limits
        self.catalogue: Final = catalogue
        self.name: Final = name
        self.exchange_types: Final = exchange_types if exchange_types is not None else built_in(random)
        self.now_ms = 0
        self.offset_ms = 0
        self.timers: Final = Timers()
        self.alarms: Final = Alarms()
        self.keeper: Keeper | None = None  # of a node that has a disk; set before anything is defined
        self.footprint: Final = Footprint()
        self.tables: Final = SharedTables()
        self.events: Final = Events(self)
        self.alarms.observe(self.events.alarms_changed)
        self._dead_letters: Final[deque[DeadLetter]] = deque()
        self._letters_published = 0  # of all that ever waited
        self._after_letters: Final[deque[AfterLetters]] = deque()
        self._united: list[DeadLetter] | None = None  # of a transaction that is being carried out
        self._letters_lost = 0
        self._acting: Owner | None = None
        self._work = 0
        self._settling: Final = SettleTimer()
        self.touched: list[Owner] = []
        self.vhosts: Final[dict[str, VHost]] = {}
        self.connections: Final[dict[Owner, None]] = {}  # those that are open, in the order of their opening
        self.operator: Final = Owner()  # whoever acts without a connection, and owns no exclusive queue
        self.channels = 0  # open ones, of all connections
        self.bindings = 0  # of all vhosts
        self.global_parameters: Final[dict[str, object]] = {}
        self._usage: Final[dict[str, Usage]] = {}
        self._random: Final = random

    # -- time

    def at(self, now_ms: int) -> None:
        """Tell the time. It never goes backwards."""
        if now_ms > self.now_ms:
            self.now_ms = now_ms

    def wall_ms(self) -> int:
        """The time of day in ms since 1970."""
        return self.now_ms + self.offset_ms

    def tick(self, now_ms: int) -> None:
        """Let everything happen that is due."""
        self.at(now_ms)
        self.timers.run(self.now_ms)

    # -- turns

    def begin_turn(self, owner: Owner) -> None:
        """`owner` acts on what it has received."""
        self._acting = owner
        self._work = 0

    def end_turn(self) -> None:
        """It is done."""
        self._acting = None

    def spend(self, steps: int) -> None:
        """Count work beyond what every frame costs. Above WORK_A_TURN the acting connection gives others their turn."""
        self._work += steps
        if self._work > WORK_A_TURN and self._acting is not None:
            self._acting.yield_turn()

    # -- the end of a round

    def flush(self) -> None:
        """Finish what this round began: dead letters first, then the disk's part, then one flush for each connection
        that was touched."""
        self.settle()
        if self.keeper is not None:
            self._commit(self.keeper)
        while self.touched:
            touched = self.touched
            self.touched = []
            for owner in touched:
                owner.flush()

    def changes(self) -> int:
        """A number that grows with everything that has to reach the disk."""
        return self.keeper.changes if self.keeper is not None else 0

    def settle_since(self, changes: int, stored: Callable[[], None]) -> bool:
        """True where nothing came after `changes`. Else False; `stored` is called, in a round, once that is on disk."""
        if self.keeper is None or self.keeper.changes == changes:
            return True
        self.keeper.when_stored(stored)
        return False

    def _commit(self, keeper: Keeper) -> None:
        """Raises StorageError, also for a bug: a batch that is half gathered must never be written."""
        try:
            keeper.commit()
        except StorageError:
            raise
        except Exception as error:
            raise StorageError(f"internal error while a batch was gathered ({error!r}): the node stops") from error

    def dead_letter(self, letter: DeadLetter) -> None:
        """A queue let a message go: it is published, and settled in its queue, at the end of the round."""
        if self.keeper is not None:
            self.keeper.changes += 1  # whoever answers for this round waits for that, too
        if self._united is not None and letter.reason == REJECTED:
            self._united.append(letter)
            return
        if len(self._dead_letters) < self.limits.dead_letters_max:
            self._dead_letters.append(letter)
            return
        letter.settle()
        self._letters_lost += 1
        if self._letters_lost & (self._letters_lost - 1) == 0:
            log.error("%d dead letters lost: dead_letters_max (%d) wait", self._letters_lost, len(self._dead_letters))

    def letters_waiting(self) -> int:
        """How many dead letters wait to be published."""
        return len(self._dead_letters)

    def after_letters(self, callback: Callable[[], None]) -> None:
        """Call `callback`, within a round, when all dead letters that wait now have been published; or at once."""
        if self._dead_letters:
            self._after_letters.append(AfterLetters(self._letters_published + len(self._dead_letters), callback))
        else:
            callback()

    def begin_transaction(self) -> None:
        """What is rejected until `end_transaction` becomes dead letters of this round, however many these are: a
        transaction reaches the disk whole or not at all."""
        self._united = []

    def end_transaction(self) -> None:
        """Publish them."""
        letters = self._united
        self._united = None
        for letter in letters or []:
            self._publish(letter)

    def settle(self) -> None:
        """Publish the dead letters that wait, and those that they cause in turn: LETTERS_A_ROUND of them.

        One publish can cause any number. The rest is for the next round, which a timer causes at once, so that nobody
        waits for all of them.
        """
        letters = self._dead_letters
        for _ in range(LETTERS_A_ROUND):
            if not letters:
                return
            self._publish(letters.popleft())
            self._letters_published += 1
            while self._after_letters and self._after_letters[0].published <= self._letters_published:
                self._after_letters.popleft().callback()
        if letters:
            self.timers.schedule(self._settling, self.now_ms)

    def _publish(self, letter: DeadLetter) -> None:
        letter.queue.vhost.publish_dead_letter(letter)
        letter.settle()

    # -- names

    def cluster_name(self) -> str:
        """What clients are told: the global parameter `cluster_name`, else the node's name (RabbitMQ)."""
        name = self.global_parameters.get("cluster_name")
        return name if isinstance(name, str) else self.name

    def unique_name(self, prefix: str) -> str:
        """`prefix-` and 22 characters that nobody can guess (RabbitMQ: rabbit_guid)."""
        token = base64.urlsafe_b64encode(self._random(16)).rstrip(b"=")
        return prefix + "-" + token.decode("ascii")

    def new_identity(self) -> bytes:
        """16 bytes that no queue has had."""
        return self._random(16)

    # -- connections

    def connection_opened(self, connection: Owner) -> None:
        """A connection finished its handshake."""
        self.connections[connection] = None

    def connection_closed(self, connection: Owner) -> None:
        """A connection that was open has released everything."""
        self.connections.pop(connection, None)
        if self.keeper is not None:
            self.keeper.left(connection)

    def connection_count(self) -> int:
        """How many connections are open."""
        return len(self.connections)

    def usage(self, user: str) -> Usage:
        """What the user has open."""
        found = self._usage.get(user)
        if found is None:
            found = Usage()
            self._usage[user] = found
        return found

    def forget_usage(self, user: str) -> None:
        """Drop the entry of a user who has nothing open."""
        found = self._usage.get(user)
        if found is not None and found.connections <= 0 and found.channels <= 0:
            del self._usage[user]

    def access_changed(self, user: str | None) -> None:
        """What `user`, or anybody with None, may do has changed: nothing that was remembered of it holds."""
        for vhost in self.vhosts.values():
            vhost.clear_routes()
        for connection in list(self.connections):
            connection.access_changed(user)

    # -- vhosts

    def queue_count(self) -> int:
        """How many queues there are, in all vhosts."""
        return sum([len(vhost.queues) for vhost in self.vhosts.values()])

    def exchange_count(self) -> int:
        """How many exchanges there are, in all vhosts."""
        return sum([len(vhost.exchanges) for vhost in self.vhosts.values()])

    def add_vhost(self, name: str) -> VHost:
        """The vhost `name`, created where it is not there. Who has it stored records that."""
        existing = self.vhosts.get(name)
        if existing is not None:
            return existing
        created = VHost(self, name)
        self.vhosts[name] = created
        self.events.vhost_created(name)
        return created

    def remove_vhost(self, name: str) -> bool:
        """Delete a vhost with all that is in it; False when there is none. Who has it stored records that first."""
        vhost = self.vhosts.pop(name, None)
        if vhost is None:
            return False
        vhost.close()
        self.events.vhost_deleted(name)
        return True
