"""Write etc/amqpd.toml, the sample configuration, from the table of settings.

    .venv/bin/python tools/sample_config.py

Every line is a comment. `# ` begins what is said about a setting; `#` right before a name is the setting with its
default, so that removing that one character changes nothing yet. `uncommented` does so for all of them.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Final

from amqpd.config.table import GROUPS, Setting

FILE: Final = Path(__file__).resolve().parents[1] / "etc" / "amqpd.toml"
WIDTH: Final = 100

_HEAD: Final = """\
# The configuration of amqpd, in TOML. Written by tools/sample_config.py from the table of settings.
#
# Every setting is here with its default. To change one, remove the # before its name. Then `amqpd config check` says
# whether all is right, and `systemctl reload amqpd` (or SIGHUP) has the node obey, except for what "after a restart" is
# written at. Environment variables (AMQPD_...) and the command line win over this file.
"""


def sample() -> str:
    """The file."""
    parts = [_HEAD]
    for title, settings in GROUPS:
        parts.append(f"\n\n# ---- {title} ".ljust(WIDTH, "-") + "\n")
        parts.extend(_entry(setting) for setting in settings)
    return "".join(parts)


def uncommented(text: str) -> str:
    """The file with every setting in force."""
    return re.sub(r"(?m)^#(?=\S)", "", text)


def _entry(setting: Setting) -> str:
    restart = "" if setting.reloadable else " Changes come into force after a restart."
    said = f"{setting.doc} Allowed: {setting.kind.allowed}.{restart}"
    lines = textwrap.wrap(said, WIDTH, initial_indent="# ", subsequent_indent="# ", break_long_words=False)
    return "\n" + "\n".join(lines) + f"\n#{setting.name} = {setting.kind.shown(setting.default)}\n"


if __name__ == "__main__":
    FILE.write_text(sample())
