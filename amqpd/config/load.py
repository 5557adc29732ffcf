"""Read the settings from their sources. A later source wins:

    defaults < the file (TOML) < environment variables AMQPD_NAME < --set NAME=VALUE < options such as --listen

A mistake raises ConfigError, which names the place (file and line), the setting, what is allowed there, and the nearest
name of a setting where the name is wrong. Environment variables that only begin like ours are no mistake: container
platforms make such names themselves.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from amqpd.config.kinds import Value
from amqpd.config.settings import Settings
from amqpd.config.table import SETTINGS
from amqpd.errors import ConfigError

_PREFIX: Final = "AMQPD_"


@dataclass(frozen=True, slots=True)
class Sources:
    """Where values come from. `options` are the dedicated options of a command line, by the setting they stand for."""

    file: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    assignments: Sequence[str] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    options_place: str = "command line"


def load(sources: Sources) -> Settings:
    """The settings. Reads the file, so it blocks. Raises ConfigError."""
    given: dict[str, Value] = {}
    if sources.file is not None:
        given.update(_from_file(sources.file))
    variables = {setting.variable: name for name, setting in SETTINGS.items()}
    for variable, text in sources.environment.items():
        if variable in variables:
            name = variables[variable]
            given[name] = _checked(f"environment variable {variable}", name, text)
    for assignment in sources.assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigError(f"--set {assignment}: it must have the form NAME=VALUE")
        given[name.strip()] = _checked(f"--set {assignment}", name.strip(), text.strip())
    for name, value in sources.options.items():
        given[name] = _checked(sources.options_place, name, value)
    settings = Settings(given)
    _check_together(settings)
    return settings


def suspicious(environment: Mapping[str, str]) -> list[str]:
    """A line for each environment variable that looks like a setting's, misspelt."""
    variables = [setting.variable for setting in SETTINGS.values()]
    found = []
    for variable in sorted(environment):
        if variable.startswith(_PREFIX) and variable not in variables:
            near = difflib.get_close_matches(variable, variables, 1, 0.85)
            if near:
                found.append(f"environment variable {variable} is no setting; did you mean {near[0]}?")
    return found


def _from_file(path: Path) -> dict[str, Value]:
    try:
        text = path.read_text("utf-8")
        document = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from None
    given = {}
    for name, value in _flat("", document):
        line = _line_of(name, text)
        place = f"{path}, line {line}" if line else str(path)
        given[name] = _checked(place, name, value)
    return given


def _flat(prefix: str, document: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Settings in a TOML document; `[log] level` is log.level."""
    for key, value in document.items():
        if isinstance(value, dict):
            yield from _flat(f"{prefix}{key}.", value)
        else:
            yield prefix + key, value


def _line_of(name: str, text: str) -> int:
    """The line where a setting stands, or 0 where it is written in a way that this simple search does not see."""
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[([^\[\]]+)\]", line)
        if header:
            section = header[1].strip() + "."
        assigned = re.match(r"\s*([\w.\"'-]+)\s*=", line)
        if assigned and section + re.sub("[\"']", "", assigned[1]) == name:
            return number
    return 0


def _checked(place: str, name: str, raw: object) -> Value:
    setting = SETTINGS.get(name)
    if setting is None:
        near = difflib.get_close_matches(name, SETTINGS, 1, 0.5)
        hint = f"; did you mean {near[0]}?" if near else "; `amqpd config show` lists the settings"
        raise ConfigError(f"{place}: there is no setting {name}{hint}")
    try:
        return setting.kind.parse(raw)
    except ValueError:
        shown = "that value" if setting.secret else repr(raw)
        raise ConfigError(f"{place}: {name}: {shown} is not allowed; allowed: {setting.kind.allowed}") from None


def _check_together(settings: Settings) -> None:
    """Values that are fine alone and not together."""
    pairs = (
        ("frame_min", "frame_max"),
        ("unsent_bytes_max", "unsent_bytes_stop"),
        ("unsent_bytes_stop", "unsent_bytes_hard_max"),
    )
    for lower, higher in pairs:
        if settings.number(lower) > settings.number(higher):
            raise ConfigError(
                f"{lower} ({settings.number(lower)}) is greater than {higher} ({settings.number(higher)})"
            )
    _check_logins(settings)
    _check_tls(settings)


def _check_logins(settings: Settings) -> None:
    anonymous = "ANONYMOUS" in settings.names("auth_mechanisms")
    if anonymous and not settings.text("anonymous_login_user"):
        raise ConfigError("auth_mechanisms has ANONYMOUS: set anonymous_login_user, which says who such a client is")
    if settings.text("anonymous_login_user") and not anonymous:
        raise ConfigError("anonymous_login_user is set: add ANONYMOUS to auth_mechanisms, or set it to nothing")
    rule = settings.text("credential_validator.validation_backend")
    if rule == "password_regexp" and not settings.text("credential_validator.regexp"):
        raise ConfigError(
            "credential_validator.validation_backend is password_regexp: set credential_validator.regexp as well"
        )


def _check_tls(settings: Settings) -> None:
    options = {name: settings.text(f"ssl_options.{name}") for name in ("certfile", "keyfile", "cacertfile", "verify")}
    if settings.names("tls_listeners") and not options["certfile"]:
        raise ConfigError("tls_listeners need a certificate: set ssl_options.certfile")
    if options["keyfile"] and not options["certfile"]:
        raise ConfigError("ssl_options.keyfile is set: set ssl_options.certfile, its certificate")
    if options["verify"] == "verify_peer" and not options["cacertfile"]:
        raise ConfigError("ssl_options.verify is verify_peer: set ssl_options.cacertfile, the authorities to believe")
    if settings.flag("ssl_options.fail_if_no_peer_cert") and options["verify"] != "verify_peer":
        raise ConfigError("ssl_options.fail_if_no_peer_cert is true: set ssl_options.verify to verify_peer")
