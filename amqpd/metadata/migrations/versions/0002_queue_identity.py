"""Queues have an identity, by which the message store knows them. Those that are there get one each."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0002"
down_revision: Final = "0001"

KEPT: Final = "vhost, name, type, durable, auto_delete, arguments"


def upgrade() -> None:
    """Make the table anew: SQLite adds no column without a default, and there is none that would differ by row."""
    op.create_table(
        "queues_new",
        *(sa.Column(name, sa.Text, nullable=False) for name in ("vhost", "name", "type")),
        *(sa.Column(name, sa.Boolean, nullable=False) for name in ("durable", "auto_delete")),
        sa.Column("arguments", sa.Text, nullable=False),
        sa.Column("identity", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("vhost", "name", name="pk_queues"),
        sa.ForeignKeyConstraint(["vhost"], ["vhosts.name"], name="fk_queues_vhost", ondelete="CASCADE"),
        sqlite_with_rowid=False,
    )
    op.execute(f"INSERT INTO queues_new ({KEPT}, identity) SELECT {KEPT}, randomblob(16) FROM queues")
    op.drop_table("queues")
    op.rename_table("queues_new", "queues")
