"""A stand-in for the kernel's kqueue, on epoll, so that its way is tested where there is none.

As kqueue(2) has it: a filter for each direction, reported apart, level-triggered unless asked otherwise; taking out
what is not there is ENOENT; a socket that is closed is forgotten.
"""

import errno
import os
import select
from typing import NamedTuple

KQ_FILTER_READ = -1
KQ_FILTER_WRITE = -2
KQ_EV_ADD = 1
KQ_EV_DELETE = 2

_BITS = {KQ_FILTER_READ: select.EPOLLIN, KQ_FILTER_WRITE: select.EPOLLOUT}


class kevent(NamedTuple):
    ident: int
    filter: int
    flags: int = KQ_EV_ADD


class kqueue:
    def __init__(self):
        self.epoll = select.epoll()
        self.masks = {}

    def fileno(self):
        return self.epoll.fileno()

    def close(self):
        self.epoll.close()

    def control(self, changes, most, timeout):
        assert timeout == 0, "nobody may wait here"
        for event in changes or ():
            self.change(event)
        if not most:
            return []
        found = []
        for number, what in self.epoll.poll(0, most):
            for kind, bit in _BITS.items():
                hang_up = what & (select.EPOLLERR | select.EPOLLHUP)
                if self.masks[number] & bit and (what & bit or hang_up):
                    found.append(kevent(number, kind))
        return found[:most]

    def change(self, event):
        bit = _BITS[event.filter]
        before = self.masks.get(event.ident, 0)
        if event.flags == KQ_EV_ADD:
            after = before | bit
        elif before & bit:
            after = before & ~bit
        else:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if not before:
            self.epoll.register(event.ident, after)
        elif after:
            self.epoll.modify(event.ident, after)
        else:
            self.epoll.unregister(event.ident)
        self.masks[event.ident] = after
