"""What a row of the table of settings says."""

from __future__ import annotations

from dataclasses import dataclass

from amqpd.config.kinds import Kind, Value


@dataclass(frozen=True, slots=True)
class Setting:
    """One row. `doc` is a sentence or two for the manual; `secret` values are never shown.

    A `reloadable` setting is obeyed as soon as a running node reads its configuration again; the others need a restart.
    """

    name: str
    kind: Kind
    default: Value
    doc: str
    limit: str = ""
    secret: bool = False
    reloadable: bool = False

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return "AMQPD_" + self.name.replace(".", "_").upper()
