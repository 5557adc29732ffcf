"""What the lines of RabbitMQ's configuration say, as our settings.

A key that RabbitMQ has and amqpd has nothing for is named in a warning, so that nobody believes it to be in force. A
key that nobody has is a mistake, and so is one of the few without which the wrong people would be let in.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import Final

from amqpd.config import rabbitmq_values as values
from amqpd.config.kinds import Text
from amqpd.config.rabbitmq_keys import (
    CAN_BE_NONE,
    FLAG,
    ITEMS,
    KNOWN,
    LOG_LEVELS,
    LOG_PLACES,
    MEANINGS,
    REFUSED,
    Items,
    Meaning,
)
from amqpd.config.reading import Reading, nearest
from amqpd.config.table import SETTINGS

Words = tuple[str, ...]

_UNSAFE_VERSIONS: Final = ("tlsv1", "tlsv1.1")
_AS_SIZE_OR_SHARE: Final = ("vm_memory_high_watermark", "disk_free_limit")
_ANONYMOUS: Final = "ANONYMOUS"
# RabbitMQ's levels, the most talkative first, and what they are here.
_LEVELS: Final = {
    "debug": "debug",
    "info": "info",
    "notice": "info",
    "warning": "warning",
    "error": "error",
    "critical": "critical",
    "alert": "critical",
    "emergency": "critical",
    "none": "critical",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A line: its key and value as they are written there, and its place."""

    key: str
    value: str
    place: str


class Translator:
    """Takes the lines that it understands out of `left`, by their key's words, and hands settings to `reading`."""

    def __init__(self, entries: dict[Words, Entry], reading: Reading) -> None:
        self._left: Final = dict(entries)
        self._reading: Final = reading

    def translate(self) -> None:
        """All lines, each of them once."""
        self._leave_out()
        self._anonymous()
        self._split_backends()
        for key, meaning in MEANINGS.items():
            if (entry := self._taken(key)) is not None:
                self._give(entry, meaning)
        for prefix, items in ITEMS.items():
            self._give_items(prefix, items)
        self._give_log_level()
        self._give_log_file()
        for words, entry in self._left.items():
            self._mention(".".join(words), entry)

    def _taken(self, key: str) -> Entry | None:
        return self._left.pop(tuple(key.split(".")), None)

    def _warn(self, entry: Entry, text: str) -> None:
        self._reading.warnings.append(f"{entry.place}: {entry.key}: {text}")

    def _leave_out(self) -> None:
        """Values that RabbitMQ has, and that are not in force beside others, or here."""
        for name in _AS_SIZE_OR_SHARE:
            if (name, "relative") in self._left and (name, "absolute") in self._left:
                self._warn(self._left.pop((name, "relative")), f"changes nothing: {name}.absolute comes first")
        for words, entry in list(self._left.items()):
            if words[:-1] == ("ssl_options", "versions") and entry.value in _UNSAFE_VERSIONS:
                self._warn(self._left.pop(words), f"{entry.value} is not safe and is left out")
            elif words[:-1] == ("ssl_options", "ciphers") and entry.value.startswith("TLS_"):
                self._warn(self._left.pop(words), "the ciphers of TLS 1.3 cannot be chosen; it is left out")
            elif words == ("definitions", "import_backend") and entry.value.endswith("local_filesystem"):
                del self._left[words]  # there is no other here

    def _anonymous(self) -> None:
        """RabbitMQ offers ANONYMOUS unless mechanisms are listed; amqpd does so for whoever names its user."""
        entry = self._left.get(("anonymous_login_user",))
        mechanisms = [entry.value for words, entry in self._left.items() if words[:-1] == ("auth_mechanisms",)]
        if entry is None or entry.value == "none":
            return
        if not mechanisms:
            default = SETTINGS["auth_mechanisms"].default
            assert isinstance(default, list)
            self._reading.give(entry.place, "auth_mechanisms", [*default, _ANONYMOUS])
        elif _ANONYMOUS not in mechanisms:
            self._warn(self._left.pop(("anonymous_login_user",)), f"changes nothing: {_ANONYMOUS} is not listed")

    def _split_backends(self) -> None:
        """`auth_backends.N.authn` and `.authz`, which amqpd writes as one item, AUTHN+AUTHZ."""
        for words in [words for words in self._left if words[0] == "auth_backends" and words[2:] == ("authn",)]:
            authz = self._left.pop((*words[:2], "authz"), None)
            authn = self._left.pop(words)
            both = authn.value if authz is None else f"{authn.value}+{authz.value}"
            if words[:2] in self._left:
                self._reading.mistakes.append(f"{authn.place}: {authn.key}: auth_backends.{words[1]} is there as well")
            self._left[words[:2]] = Entry(authn.key, both, authn.place)
        for words in [words for words in self._left if words[0] == "auth_backends" and words[2:] == ("authz",)]:
            self._left[words[:2]] = self._left.pop(words)  # RabbitMQ's rule: it authenticates as well

    def _give(self, entry: Entry, meaning: Meaning) -> None:
        try:
            raw = meaning.written(entry.value)
        except ValueError:
            self._reading.refuse(entry.place, meaning.setting, entry.value, entry.key, meaning.allowed)
        else:
            self._reading.give(entry.place, meaning.setting, raw, entry.key)

    def _give_items(self, prefix: str, items: Items) -> None:
        entries = [words for words in self._left if ".".join(words[:-1]) == prefix]
        none = self._taken(prefix) if prefix in CAN_BE_NONE else None
        if none is not None and none.value != "none":
            allowed = f"none; the items have keys of their own, {prefix}.NAME"
            self._reading.refuse(none.place, items.setting, none.value, none.key, allowed)
            return
        found = {words[-1]: self._left.pop(words) for words in sorted(entries, key=_order)}
        if not found and none is None:
            return
        mistakes = len(self._reading.mistakes)
        good = [item for name, entry in found.items() for item in self._item(name, entry, items)]
        if len(self._reading.mistakes) > mistakes:
            return
        if none is not None:
            good = []
        raw = ":".join(good) if isinstance(SETTINGS[items.setting].kind, Text) else good
        first, *others = [none, *found.values()] if none is not None else list(found.values())
        place = f"{first.place} and {len(others)} more" if others else first.place
        self._reading.give(place, items.setting, raw, prefix)

    def _item(self, name: str, entry: Entry, items: Items) -> list[str]:
        """The item of a line, or none where it is not wanted, or wrong, which is then noted."""
        kind = SETTINGS[items.setting].kind
        try:
            if items.flags:
                return [name] if values.flag(entry.value) else []
            item = items.written(entry.value)
            kind.parse(item if isinstance(kind, Text) else [item])
            return [item]
        except ValueError:
            self._reading.refuse(entry.place, items.setting, entry.value, entry.key, items.allowed)
            return []

    def _give_log_level(self) -> None:
        """amqpd has one log: the most talkative of RabbitMQ's levels counts."""
        entries = [entry for key in LOG_LEVELS if (entry := self._taken(key)) is not None]
        wrong = [entry for entry in entries if entry.value not in _LEVELS]
        for entry in wrong:
            self._reading.refuse(entry.place, "log.level", entry.value, entry.key, "one of " + ", ".join(_LEVELS))
        entries = [entry for entry in entries if entry not in wrong]
        if not entries:
            return
        levels = list(_LEVELS)
        first, *others = sorted(entries, key=lambda entry: levels.index(entry.value))
        self._reading.give(first.place, "log.level", _LEVELS[first.value], first.key)
        for entry in others:
            if _LEVELS[entry.value] != _LEVELS[first.value]:
                self._warn(entry, f"changes nothing: amqpd has one log, and {first.key} wants more of it")

    def _give_log_file(self) -> None:
        """amqpd logs to one place: the file that is named, else standard error, else a file in the directory."""
        file, folder, console = (self._taken(key) for key in LOG_PLACES)
        if console is not None and console.value not in ("true", "false"):
            self._reading.refuse(console.place, "log.file", console.value, console.key, FLAG)
            return
        to_console = console is not None and console.value == "true"
        prefix = f"{folder.value.rstrip('/')}/" if folder is not None else ""
        if file is not None and file.value != "false":
            path = file.value if file.value.startswith("/") else prefix + file.value
            self._reading.give(file.place, "log.file", path, file.key)
            if console is not None and to_console:
                self._warn(console, f"changes nothing: amqpd logs to one place, and {file.key} names a file")
        elif folder is not None and not to_console and file is None:
            self._reading.give(folder.place, "log.file", prefix + "amqpd.log", folder.key)
        elif said := file or console:
            self._reading.give(said.place, "log.file", "", said.key)
            if folder is not None:
                self._warn(folder, "changes nothing: amqpd logs to standard error")

    def _mention(self, key: str, entry: Entry) -> None:
        """A line that nothing was made of."""
        for pattern, advice in REFUSED.items():
            if fnmatch.fnmatchcase(key, pattern):
                self._reading.mistakes.append(f"{entry.place}: {entry.key}: {advice}")
                return
        if any(fnmatch.fnmatchcase(key, pattern) for pattern in KNOWN):
            self._warn(entry, "amqpd has nothing like this key of RabbitMQ's; it changes nothing")
            return
        names = [*MEANINGS, *ITEMS, *LOG_LEVELS, *LOG_PLACES, *(key for key in KNOWN if "*" not in key)]
        hint = nearest(key, names) or "; docs/configuration.md lists the keys"
        self._reading.mistakes.append(f"{entry.place}: there is no key {entry.key}{hint}")


def _order(words: Words) -> tuple[int, str]:
    """Items stand in the order of their numbers, and names after them in the order of the alphabet."""
    last = words[-1]
    return (int(last), "") if last.isdecimal() and len(last) < 10 else (2**31, last)
