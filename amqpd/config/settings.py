"""The values of all settings, once every source was read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from amqpd.config.kinds import Value
from amqpd.config.table import SETTINGS


class Settings:
    """A value for every row of the table; `given` overrides defaults and must hold checked values.

    `places` says where these were found, `warnings` what is worth a line at the start, `files` what was read.
    """

    def __init__(
        self,
        given: Mapping[str, Value] | None = None,
        places: Mapping[str, str] | None = None,
        warnings: Sequence[str] = (),
        files: Sequence[Path] = (),
    ) -> None:
        self._values: Final[dict[str, Value]] = {name: setting.default for name, setting in SETTINGS.items()}
        self._values.update(given or {})
        self._places: Final = dict(places or {})
        self.warnings = tuple(warnings)
        self.files = tuple(files)

    def adopt(self, other: Settings) -> None:
        """Be as `other` from now on, for all who hold these settings."""
        self._values.update(other._values)
        self._places.clear()
        self._places.update(other._places)
        self.warnings, self.files = other.warnings, other.files

    def place(self, name: str) -> str:
        """Where a setting's value stands: a file and line, a variable, an option; nothing for a default."""
        return self._places.get(name, "")

    def value(self, name: str) -> Value:
        """The value of a setting."""
        return self._values[name]

    def text(self, name: str) -> str:
        """The value of a setting that is text."""
        value = self.value(name)
        assert isinstance(value, str)
        return value

    def number(self, name: str) -> int:
        """The value of a setting that is a whole number, a size or a time."""
        value = self.value(name)
        assert isinstance(value, int)
        return value

    def share(self, name: str) -> float:
        """The value of a setting that is a share, or a whole number."""
        value = self.value(name)
        assert isinstance(value, int | float)
        return value

    def flag(self, name: str) -> bool:
        """The value of a setting that is on or off."""
        value = self.value(name)
        assert isinstance(value, bool)
        return value

    def names(self, name: str) -> list[str]:
        """The value of a setting that is a list."""
        value = self.value(name)
        assert isinstance(value, list)
        return list(value)
