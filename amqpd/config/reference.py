"""The table of settings as text: the page of the manual, and a TOML file of the present values.

    python -m amqpd.config.reference            writes docs/configuration.md (run it in the repository's root)
    python -m amqpd.config.reference --print    prints the page instead
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from amqpd.config import environment
from amqpd.config.rabbitmq_keys import keys_of
from amqpd.config.settings import Settings
from amqpd.config.table import GROUPS, Setting

PAGE: Final = Path("docs/configuration.md")

_HEAD: Final = """\
# Configuration

<!-- Written by `python -m amqpd.config.reference` from amqpd/config/table.py. Edit that. -->

Without any configuration amqpd listens on port 5672 and lets `guest` in from this machine. Everything below changes
that. A setting is taken from the last of these places that has it:

1. its default
2. a file: `amqpd --config FILE`, or the one that the variable `AMQPD_CONFIG` names
3. the few environment variables of RabbitMQ's that are named below, if they are not empty; those that container images
   set are among them
4. an environment variable: `AMQPD_` and the name in capitals, `_` for the dot, as in `AMQPD_LOG_LEVEL=debug`
5. `--set NAME=VALUE`, as often as needed: `--set log.level=debug --set heartbeat=10s`
6. an option of its own: `--listen HOST:PORT` (also more than once) and `--data-dir DIR`

In variables and in `--set`, a list has commas between its items.

## The file

The file is TOML:

```toml
# amqpd.toml
listeners = ["0.0.0.0:5672", "unix:/run/amqpd/amqp.sock"]
data_dir = "/var/lib/amqpd"
max_message_size = "64MiB"

[log]
level = "info"
format = "json"
```

A file whose name ends in `.conf` is read as RabbitMQ's `rabbitmq.conf`; of a directory, all files `*.conf` are read in
the order of their names, and the last one wins. Below, each setting names the keys that fill it. A key that RabbitMQ
has and amqpd has nothing for changes nothing, and is named in a warning: in the log when the node starts, and by
`amqpd config check`. A key that nobody has is a mistake. `include`, quotes and `$(<FILE)` work as in RabbitMQ;
encrypted values need RabbitMQ's key and are refused.

```ini
# rabbitmq.conf
listeners.tcp.default = 5672
default_pass = $(</run/secrets/amqp_password)
vm_memory_high_watermark.absolute = 2GiB
loopback_users = none
```

`amqpd config check` (with the same options) says whether the settings are right; every mistake is named with its file,
line and setting, and what is allowed. `amqpd config show` prints all settings with their values and where these come
from, as a TOML file. Passwords are never shown.

## Changes while the node runs

A node reads its configuration again when it gets SIGHUP, and, unless `config_watch` is 0, when the file or one of the
certificates that it names has changed. What it can obey at once it obeys: those settings say so below, and connections
that are open keep what they were told when they were opened. Of the others the log says that they need a restart. If
anything in the new configuration is wrong, the log says what, and nothing changes.
"""


def page() -> str:
    """The manual's page."""
    parts = [_HEAD]
    for title, settings in GROUPS:
        parts.append(f"\n## {title}\n")
        parts.extend(_entry(setting) for setting in settings)
    return "".join(parts)


def _entry(setting: Setting) -> str:
    variables = [setting.variable, *environment.variables_of(setting.name)]
    keys = keys_of(setting.name)
    return (
        f"\n### `{setting.name}`\n\n{setting.doc}\n\n"
        f"- allowed: {setting.kind.allowed}\n"
        f"- default: `{setting.kind.shown(setting.default)}`\n"
        f"- variable: {_code(variables)}\n"
        + (f"- in `rabbitmq.conf`: {_code(keys)}\n" if keys else "")
        + f"- a change is obeyed: {'at once' if setting.reloadable else 'after a restart'}\n"
    )


def _code(words: list[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def as_toml(settings: Settings) -> str:
    """Every setting as a TOML file, with its place; those that have no place have their defaults, and are commented
    out as secrets are, which are not shown.
    """
    parts = []
    for title, group in GROUPS:
        parts.append(f"# {title}\n")
        for setting in group:
            value = settings.value(setting.name)
            place = settings.place(setting.name)
            shown = '"..."' if setting.secret and value else setting.kind.shown(value)
            commented = "# " if setting.secret or not place else ""
            parts.append(f"{commented}{setting.name} = {shown}  # {place or 'default'}\n")
        parts.append("\n")
    return "".join(parts).rstrip("\n") + "\n"


if __name__ == "__main__":
    if "--print" in sys.argv:
        sys.stdout.write(page())
    else:
        PAGE.write_text(page())
