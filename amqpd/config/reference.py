"""The table of settings as text: the page of the manual, and a TOML file of the present values.

    python -m amqpd.config.reference            writes docs/configuration.md (run it in the repository's root)
    python -m amqpd.config.reference --print    prints the page instead
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from amqpd.config.settings import Settings
from amqpd.config.table import GROUPS, Setting

PAGE: Final = Path("docs/configuration.md")

_HEAD: Final = """\
# Configuration

<!-- Written by `python -m amqpd.config.reference` from amqpd/config/table.py. Edit that. -->

Without any configuration amqpd listens on port 5672 and lets `guest` in from this machine. Everything below changes
that. A setting is taken from the last of these places that has it:

1. its default
2. a TOML file: `amqpd --config amqpd.toml`
3. an environment variable: `AMQPD_` and the name in capitals, `_` for the dot, as in `AMQPD_LOG_LEVEL=debug`
4. `--set NAME=VALUE`, as often as needed: `--set log.level=debug --set heartbeat=10s`
5. an option of its own: `--listen HOST:PORT` (also more than once) and `--data-dir DIR`

In variables and in `--set`, a list has commas between its items.

```toml
# amqpd.toml
listeners = ["0.0.0.0:5672", "unix:/run/amqpd/amqp.sock"]
data_dir = "/var/lib/amqpd"
max_message_size = "64MiB"

[log]
level = "info"
format = "json"
```

`amqpd config check` (with the same options) says whether the settings are right; a mistake is named with its file, line
and setting, and what is allowed. `amqpd config show` prints all of them with their present values, as a TOML file.
"""


def page() -> str:
    """The manual's page."""
    parts = [_HEAD]
    for title, settings in GROUPS:
        parts.append(f"\n## {title}\n")
        parts.extend(_entry(setting) for setting in settings)
    return "".join(parts)


def _entry(setting: Setting) -> str:
    return (
        f"\n### `{setting.name}`\n\n{setting.doc}\n\n"
        f"- allowed: {setting.kind.allowed}\n"
        f"- default: `{setting.kind.shown(setting.default)}`\n"
        f"- variable: `{setting.variable}`\n"
    )


def as_toml(settings: Settings) -> str:
    """Every setting as a TOML file; those that have their defaults are commented out, secrets are not shown."""
    parts = []
    for title, group in GROUPS:
        parts.append(f"# {title}\n")
        for setting in group:
            value = settings.value(setting.name)
            shown = '"..."' if setting.secret else setting.kind.shown(value)
            commented = "# " if setting.secret or value == setting.default else ""
            parts.append(f"{commented}{setting.name} = {shown}\n")
        parts.append("\n")
    return "".join(parts).rstrip("\n") + "\n"


if __name__ == "__main__":
    if "--print" in sys.argv:
        sys.stdout.write(page())
    else:
        PAGE.write_text(page())
