"""Read the settings from their sources. A later source wins:

    defaults < the file < environment variables < --set NAME=VALUE < options such as --listen

The file is TOML, or RabbitMQ's `rabbitmq.conf` where its name ends in `.conf`, or a directory of such `.conf` files.
Mistakes raise one ConfigError, with a line for each: the place (file and line), the setting, what is allowed there, and
the nearest name of a setting where the name is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from amqpd.config import environment, together
from amqpd.config.reading import Reading, is_directory
from amqpd.config.settings import Settings
from amqpd.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Sources:
    """Where values come from. `options` are the dedicated options of a command line, by the setting they stand for.

    Without a `file` the environment may name one.
    """

    file: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    assignments: Sequence[str] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    options_place: str = "command line"


def load(sources: Sources) -> Settings:
    """The settings. Reads the file, so it blocks. Raises ConfigError, which names all mistakes, a line each."""
    reading = Reading()
    file = sources.file or environment.config_file(sources.environment)
    if file is not None:
        try:
            _read_file(file, reading)
        except ConfigError as error:
            reading.mistakes.append(str(error))
    environment.read(sources.environment, reading)
    for assignment in sources.assignments:
        _read_assignment(assignment, reading)
    for name, value in sources.options.items():
        reading.give(sources.options_place, name, value)
    settings = Settings(reading.values, reading.places, reading.warnings, reading.files)
    mistakes = reading.mistakes or together.mistakes(settings)
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return settings


def _read_file(path: Path, reading: Reading) -> None:
    """Each form's reader is imported where it is needed: most nodes have the other form, or no file at all."""
    if is_directory(path) or path.suffix == ".conf":
        from amqpd.config import rabbitmq_conf

        rabbitmq_conf.read(path, reading)
    elif path.suffix == ".config":
        raise ConfigError(
            f"{path}: is in RabbitMQ's older form, which amqpd does not read; write a FILE.conf, or TOML"
        )
    else:
        from amqpd.config import toml_file

        toml_file.read(path, reading)


def _read_assignment(assignment: str, reading: Reading) -> None:
    name, equals, text = assignment.partition("=")
    name = name.strip()
    if equals:
        reading.give(f"--set {name}", name, text.strip())  # the value may be a password: it is not repeated
    else:
        reading.mistakes.append(f"--set {name}: it must have the form NAME=VALUE")
