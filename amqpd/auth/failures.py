"""Failed logins, counted by where they come from and by whom they claim to be, and how long the next login waits.

When `after` logins from one address failed within a minute, each further login from there, good or bad, is answered
late: 250 ms, and twice that for each failure more, up to a limit. Loopback is an address like any other. Two things
keep one bad client behind a shared address from shutting out the good ones there: a user who has logged in from an
address before waits only for failures of that same user from there; and a login that succeeds takes back the failures
of that user from that address, and no others, or whoever owns one account could guess at the rest for ever.

An address of IPv6 stands for its /64, which is what one household or host is given. Failures by user slow nobody, or
anybody could shut out anybody; there is a line in the log.

Does not wait itself, and reads no clock. Limits: TABLE_MAX addresses and users, the oldest go first; of each, no more
failures than make a difference.
"""

from __future__ import annotations

import ipaddress
import logging
from collections import OrderedDict, deque
from typing import Final

log = logging.getLogger("amqpd.auth")

WINDOW_MS: Final = 60_000
FIRST_DELAY_MS: Final = 250
TABLE_MAX: Final = 10_000
NAME_MAX: Final = 255
_DOUBLINGS_MAX: Final = 16
_UNIX: Final = "a UNIX socket"


def source_of(address: str) -> str:
    """What counts as one place: an IPv4 address, the /64 of an IPv6 one, all UNIX sockets together."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address or _UNIX
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(ip) >> 64 << 64, 64)))


class _Table:
    """Failures by key, as pairs of time and the other of the two names. The key that failed last stands last."""

    def __init__(self) -> None:
        self._failures: Final[OrderedDict[str, deque[tuple[int, str]]]] = OrderedDict()

    def recent(self, key: str, now_ms: int) -> list[str]:
        """The other names in the failures of the last minute."""
        failures = self._failures.get(key)
        if failures is None:
            return []
        while failures and failures[0][0] <= now_ms - WINDOW_MS:
            failures.popleft()
        if not failures:
            del self._failures[key]
        return [other for _, other in failures]

    def add(self, key: str, other: str, now_ms: int, most: int) -> int:
        """Count a failure; returns how many there were in the last minute."""
        failures = self._failures.setdefault(key, deque())
        failures.append((now_ms, other))
        self._failures.move_to_end(key)
        while len(failures) > most:
            failures.popleft()
        while len(self._failures) > TABLE_MAX:
            self._failures.popitem(last=False)
        return len(self.recent(key, now_ms))

    def take_back(self, key: str, other: str) -> None:
        """Forget the failures with that other name."""
        failures = self._failures.get(key)
        if failures is None:
            return
        left = deque(failure for failure in failures if failure[1] != other)
        if left:
            self._failures[key] = left
        else:
            del self._failures[key]

    def counts(self, now_ms: int) -> dict[str, int]:
        """How many failures each key had in the last minute."""
        counts = {key: len(self.recent(key, now_ms)) for key in list(self._failures)}
        return {key: count for key, count in counts.items() if count}


class Failures:
    """The two tables. All times in ms on the caller's clock."""

    def __init__(self) -> None:
        self._sources: Final = _Table()
        self._users: Final = _Table()
        self._known: Final[OrderedDict[tuple[str, str], None]] = OrderedDict()  # source and user of good logins
        self.configure(0, 0)

    def configure(self, after: int, delay_max_ms: int) -> None:
        """Slow logins after so many failures, 0 for never, by at most so long."""
        self._after = after
        self._delay_max_ms = delay_max_ms

    def delay_ms(self, source: str, user: str, now_ms: int) -> int:
        """How long a login from `source` as `user` waits before it is looked at."""
        if self._after == 0:
            return 0
        failures = self._sources.recent(source, now_ms)
        count = len(failures)
        if (source, user[:NAME_MAX]) in self._known:
            count = failures.count(user[:NAME_MAX])
        if count < self._after:
            return 0
        return min(self._delay_max_ms, FIRST_DELAY_MS << min(count - self._after, _DOUBLINGS_MAX))

    def failed(self, source: str, user: str, now_ms: int) -> None:
        """A login was refused."""
        user = user[:NAME_MAX]
        most = self._after + _DOUBLINGS_MAX
        from_there = self._sources.add(source, user, now_ms, most)
        as_user = self._users.add(user, source, now_ms, most)
        if self._after and from_there == self._after:
            log.warning("%d logins from %s failed within a minute: further ones are slowed", from_there, source)
        if self._after and as_user == self._after:
            log.warning("%d logins as user '%s' failed within a minute, the last from %s", as_user, user, source)

    def succeeded(self, source: str, user: str) -> None:
        """A login was good."""
        user = user[:NAME_MAX]
        self._sources.take_back(source, user)
        self._known[source, user] = None
        self._known.move_to_end((source, user))
        if len(self._known) > TABLE_MAX:
            self._known.popitem(last=False)

    def by_source(self, now_ms: int) -> dict[str, int]:
        """Failures of the last minute by address."""
        return self._sources.counts(now_ms)

    def by_user(self, now_ms: int) -> dict[str, int]:
        """Failures of the last minute by user name."""
        return self._users.counts(now_ms)
