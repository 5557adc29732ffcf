"""The first schema: vhosts, users and their rights, topology, policies, parameters, limits."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0001"
down_revision: Final = None

USER: Final = ("user", "users")
VHOST: Final = ("vhost", "vhosts")


def upgrade() -> None:
    """Make everything."""
    op.execute("PRAGMA application_id = 1634562416")
    _access()
    _topology()
    _settings()
    op.create_table(
        "state",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1", name="ck_state_one_row"), nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_state"),
    )


def _access() -> None:
    _table("vhosts", 1, [], *_text("name", "description", "tags", "default_queue_type"))
    _table("users", 1, [], *_text("name", "password_hash", "hashing_algorithm", "tags"))
    _table("permissions", 2, [USER, VHOST], *_text("user", "vhost", "configure", "write", "read"))
    _table("topic_permissions", 3, [USER, VHOST], *_text("user", "vhost", "exchange", "write", "read"))


def _topology() -> None:
    kind = _text("vhost", "name", "type")
    _table("exchanges", 2, [VHOST], *kind, *_flags("durable", "auto_delete", "internal"), *_text("arguments"))
    kind = _text("vhost", "name", "type")
    _table("queues", 2, [VHOST], *kind, *_flags("durable", "auto_delete"), *_text("arguments"))
    identity = _text("vhost", "source", "destination_type", "destination", "routing_key", "arguments_key")
    _table("bindings", 6, [VHOST], *identity, *_text("arguments"))
    ends = ["vhost", "destination_type", "destination"]
    op.create_index("ix_bindings_vhost_destination_type_destination", "bindings", ends)


def _settings() -> None:
    what = _text("name", "pattern", "definition", "apply_to")
    _table("policies", 3, [VHOST], *_text("vhost"), *_flags("operator"), *what, *_numbers("priority"))
    _table("parameters", 3, [VHOST], *_text("vhost", "component", "name", "value"))
    _table("global_parameters", 1, [], *_text("name", "value"))
    _table("vhost_limits", 2, [VHOST], *_text("vhost", "name"), *_numbers("value"))
    _table("user_limits", 2, [USER], *_text("user", "name"), *_numbers("value"))


def _table(name: str, key_size: int, parents: list[tuple[str, str]], *columns: sa.Column[Any]) -> None:
    """A table without rowid, whose first `key_size` columns are its key, and whose rows go with those of `parents`."""
    op.create_table(
        name,
        *columns,
        sa.PrimaryKeyConstraint(*(column.name for column in columns[:key_size]), name=f"pk_{name}"),
        *(
            sa.ForeignKeyConstraint([column], [f"{parent}.name"], name=f"fk_{name}_{column}", ondelete="CASCADE")
            for column, parent in parents
        ),
        sqlite_with_rowid=False,
    )


def _text(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _flags(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Boolean, nullable=False) for name in names]


def _numbers(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Integer, nullable=False) for name in names]
