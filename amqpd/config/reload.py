"""What has changed between the settings in force and those that were read again. Pure: nothing is obeyed here."""

from __future__ import annotations

from dataclasses import dataclass

from amqpd.config.settings import Settings
from amqpd.config.table import SETTINGS


@dataclass(frozen=True, slots=True)
class Changes:
    """Names of settings that have another value, in the table's order: obeyed at once, or after a restart."""

    at_once: list[str]
    after_restart: list[str]


def changes(now: Settings, new: Settings) -> Changes:
    """How `new` differs from `now`. Where a value comes from does not matter."""
    changed = [setting for name, setting in SETTINGS.items() if now.value(name) != new.value(name)]
    return Changes(
        [setting.name for setting in changed if setting.reloadable],
        [setting.name for setting in changed if not setting.reloadable],
    )


def mixed(now: Settings, new: Settings) -> Settings:
    """What is in force once `new` is obeyed as far as that goes without a restart."""
    values = {name: (new if setting.reloadable else now).value(name) for name, setting in SETTINGS.items()}
    places = {name: (new if setting.reloadable else now).place(name) for name, setting in SETTINGS.items()}
    return Settings(values, places, new.warnings, new.files)
