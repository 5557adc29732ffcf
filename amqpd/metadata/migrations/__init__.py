"""The migrations of the definitions database, one file a revision in `versions`, run by Alembic without its command.

A new database is made from `schema`, so this is imported only where a database is older than the program.

To change the schema: change `metadata.schema` and raise `REVISION` there, write `versions/NNNN_what.py` that does the
same to a database of the revision before, and keep a dump of the released schema in `tests/metadata/schemas`. SQLite
changes little in place: `op.batch_alter_table` copies the table. Foreign keys are not enforced meanwhile, and are
checked before the commit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

LOCATION: Final = Path(__file__).parent


def upgrade(connection: Connection, revision: str) -> None:
    """Bring the database up to `revision`, within the open transaction. Raises what SQLAlchemy and Alembic do."""
    config = Config()
    config.set_main_option("script_location", str(LOCATION).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
