"""What was found while the sources were read: values, and what is to be said of them.

A source hands over each value with the place where it stands; a later value replaces an earlier one. Mistakes are
collected, so that all of them can be named at once. What is said never contains a secret's value.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from amqpd.config.kinds import ItemError, Value
from amqpd.config.table import SETTINGS
from amqpd.errors import ConfigError

FILE_BYTES_MAX: Final = 1_048_576
_SHOWN_MAX: Final = 100  # characters of a wrong value


class Reading:
    """Values by setting and their places; mistakes and warnings, a line each; the files that were read."""

    def __init__(self) -> None:
        self.values: Final[dict[str, Value]] = {}
        self.places: Final[dict[str, str]] = {}
        self.mistakes: Final[list[str]] = []
        self.warnings: Final[list[str]] = []
        self.files: Final[list[Path]] = []

    def give(self, place: str, name: str, raw: object, key: str = "") -> None:
        """`raw` stands for the setting `name`; `key` is what the source calls the setting, if not that."""
        setting = SETTINGS.get(name)
        if setting is None:
            hint = nearest(name, list(SETTINGS)) or "; `amqpd config show` lists the settings"
            self.mistakes.append(f"{place}: there is no setting {name}{hint}")
            return
        try:
            self.values[name] = setting.kind.parse(raw)
        except ItemError as error:
            self.refuse(place, name, error.item, key)
        except ValueError:
            self.refuse(place, name, raw, key)
        else:
            self.places[name] = place

    def refuse(self, place: str, name: str, raw: object, key: str = "", allowed: str = "") -> None:
        """Note that `raw` is nothing that the setting `name` can have."""
        setting = SETTINGS[name]
        shown = "that value" if setting.secret else _shown(raw)
        allowed = allowed or setting.kind.allowed
        self.mistakes.append(f"{place}: {key or name}: {shown} is not allowed; allowed: {allowed}")

    def text_of(self, path: Path) -> str:
        """The text of a configuration's file, which is noted as read. Blocks. Raises ConfigError."""
        self.files.append(path)
        try:
            with path.open("rb") as file:
                content = file.read(FILE_BYTES_MAX + 1)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
        except ValueError:
            raise ConfigError(f"{str(path)!r}: is no name of a file") from None
        if len(content) > FILE_BYTES_MAX:
            raise ConfigError(f"{path}: is larger than {FILE_BYTES_MAX} bytes, which no configuration is")
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise ConfigError(f"{path}, line {line}: is not UTF-8") from None


def is_directory(path: Path) -> bool:
    """Whether `path` is a directory; not where that cannot be seen: who reads it says why."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def nearest(name: str, names: list[str], likeness: float = 0.5) -> str:
    """`; did you mean X?`, or nothing where no name is near."""
    import difflib  # only who makes mistakes waits for it

    near = difflib.get_close_matches(name, names, 1, likeness)
    return f"; did you mean {near[0]}?" if near else ""


def _shown(raw: object) -> str:
    try:
        text = repr(raw)
    except ValueError:  # a number of too many digits
        return "that value"
    return text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "..."
