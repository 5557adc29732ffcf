"""What the simulated groups replicate: a few registers, and a chain of checksums over everything that was applied.

An operation is `<id> <register> w <value>`, `<id> <register> r` (a read through the log) or
`<id> <register> c <old> <new>` (compare and set). Its result is told to whoever waits for its id. A network may bring
a forwarded proposal twice, so each id takes effect once: which ones did belongs to the image.

The version that a command is applied at is in the checksum, so whoever applies one at another version differs.
"""

import zlib
from functools import lru_cache


@lru_cache(maxsize=65536)
def parse(payload: bytes) -> tuple[str, ...]:
    """The words of an operation; read once for all the members that apply it."""
    return tuple(payload.decode().split(" "))


class Machine:
    """Registers, all "" at first; `state` is equal wherever the same entries were applied in the same order."""

    __slots__ = ("done", "index", "registers", "state", "version")

    def __init__(self) -> None:
        self.index = 0
        self.state = 0
        self.version = 0
        self.registers: dict[str, str] = {}
        self.done: set[str] = set()

    def apply(self, index: int, payload: bytes) -> tuple[str, str]:
        """The operation's id and result; ("", "") if it has none."""
        self.index = index
        self.state = zlib.crc32(payload, self.state + index + (self.version << 16) & 0xFFFFFFFF)
        if not payload:
            return "", ""
        words = parse(payload)
        if len(words) < 3:
            return words[0], "ok"
        if words[0] in self.done:
            return "", ""
        self.done.add(words[0])
        name = words[1]
        old = self.registers.get(name, "")
        if words[2] == "w":
            self.registers[name] = words[3]
            return words[0], "ok"
        if words[2] == "c":
            if old != words[3]:
                return words[0], "no"
            self.registers[name] = words[4]
            return words[0], "ok"
        return words[0], old

    def upgrade(self, index: int, version: int) -> None:
        """Run at `version` from the entry at `index` on, unless it does already, or at a newer one."""
        self.version = max(self.version, version)
        self.apply(index, b"")

    def image(self) -> bytes:
        """Everything, as bytes."""
        registers = ";".join(f"{name}={value}" for name, value in sorted(self.registers.items()))
        return f"{self.index} {self.state} {self.version} {registers} {';'.join(self.done)}".encode()

    def restore(self, image: bytes) -> None:
        """Become what `image` was made of."""
        index, state, version, registers, done = image.decode().split(" ")
        self.index = int(index)
        self.state = int(state)
        self.version = int(version)
        self.registers = dict(pair.split("=", 1) for pair in registers.split(";") if pair)
        self.done = set(done.split(";"))
