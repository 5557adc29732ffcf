"""Migrations: from every released schema to that of the models, rows kept; what fails leaves everything as it was.

`schemas/NNNN.sql` is a released schema with rows of every kind, as `dump` wrote it when that was the newest.
"""

import re
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from metadata.samples import EVERY_KIND
from sqlalchemy import create_engine, inspect

from amqpd.broker import commands as c
from amqpd.errors import ConfigError
from amqpd.metadata import migrations, schema
from amqpd.metadata.store import NAME, Store

SCHEMAS = Path(__file__).parent / "schemas"
SEQUENCE = 42


@pytest.fixture
def path(tmp_path):
    return tmp_path / NAME


def dump(path: Path) -> str:
    """A database as SQL, with what `iterdump` leaves out."""
    with closing(sqlite3.connect(path)) as connection:
        (mark,) = connection.execute("PRAGMA application_id").fetchone()
        return "\n".join([f"PRAGMA application_id = {mark};", *connection.iterdump(), ""])


def restore(path: Path, revision: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript((SCHEMAS / f"{revision}.sql").read_text(encoding="utf-8"))


def shape(path: Path) -> dict[str, object]:
    """All that can be said of a database's tables, whatever the SQL that made them looked like."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        inspector = inspect(connection)
        found = {
            table: {
                "columns": [{**column, "type": str(column["type"])} for column in inspector.get_columns(table)],
                "key": inspector.get_pk_constraint(table),
                "parents": sorted(inspector.get_foreign_keys(table), key=str),
                "indexes": sorted(inspector.get_indexes(table), key=str),
                "unique": sorted(inspector.get_unique_constraints(table), key=str),
                "checks": sorted(inspector.get_check_constraints(table), key=str),
                "rowid": not re.search(r"WITHOUT ROWID\s*$", definition(connection, table)),
            }
            for table in inspector.get_table_names()
        }
        others = connection.exec_driver_sql("SELECT type, name FROM sqlite_master WHERE type IN ('view', 'trigger')")
        found["others"] = sorted(others.all())
    engine.dispose()
    return found


def definition(connection, table: str) -> str:
    return connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).scalar_one()


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(migrations.LOCATION))
    return ScriptDirectory.from_config(config)


REVISIONS = sorted(script.revision for script in scripts().walk_revisions())


# -- the schema


def test_the_models_are_at_the_newest_revision_and_all_form_one_line():
    assert scripts().get_heads() == [schema.REVISION]
    assert [f"{number + 1:04}" for number in range(len(REVISIONS))] == REVISIONS


def test_every_revision_is_kept_as_it_was_released():
    assert sorted(file.stem for file in SCHEMAS.glob("*.sql")) == REVISIONS


def test_all_migrations_from_nothing_give_the_schema_of_the_models(path, tmp_path):
    Store(path).close()
    other = tmp_path / "migrated"
    engine = create_engine(f"sqlite:///{other}")
    with engine.begin() as connection:
        migrations.upgrade(connection, "head")
        assert connection.exec_driver_sql("PRAGMA application_id").scalar_one() == schema.APPLICATION_ID
    engine.dispose()
    assert shape(other) == shape(path)


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_released_schema_becomes_that_of_the_models_and_keeps_its_rows(path, tmp_path, revision):
    new = tmp_path / "new" / NAME
    new.parent.mkdir()
    Store(new).close()
    restore(path, revision)
    with closing(Store(path)) as store:
        assert (store.fresh, store.sequence) == (False, SEQUENCE)
        assert store.load() == EVERY_KIND
    assert shape(path) == shape(new)


def identities(store: Store) -> list[bytes]:
    return [command.identity for command in store.load() if isinstance(command, c.PutQueue)]


def test_queues_that_had_no_identity_get_one_each_and_keep_it(path):
    restore(path, "0001")
    with closing(Store(path)) as store:
        made = identities(store)
    assert [len(identity) for identity in made] == [16, 16, 16]
    assert len(set(made)) == 3
    with closing(Store(path)) as store:
        assert identities(store) == made


def test_an_identity_is_kept_by_migrations(path):
    restore(path, "0002")
    with closing(Store(path)) as store:
        assert identities(store) == [queue.identity for queue in EVERY_KIND if isinstance(queue, c.PutQueue)]


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_released_schema_is_kept_with_rows_in_every_table(path, revision):
    restore(path, revision)
    with closing(sqlite3.connect(path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert [name for name in tables if not connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]] == []


def test_a_dump_restores_to_the_same_definitions(path, tmp_path):
    with closing(Store(path)) as store:
        store.apply(EVERY_KIND, SEQUENCE)
    other = tmp_path / "other"
    with closing(sqlite3.connect(other, isolation_level=None)) as connection:
        connection.executescript(dump(path))
    with closing(Store(other)) as store:
        assert (store.load(), store.sequence) == (EVERY_KIND, SEQUENCE)


def test_a_schema_that_differs_would_be_seen(path, tmp_path):
    Store(path).close()
    before = shape(path)
    for change in (
        "ALTER TABLE queues ADD COLUMN more TEXT",
        "CREATE INDEX more ON queues (type)",
        "CREATE TABLE more (x)",
        "CREATE VIEW more AS SELECT 1",
        "ALTER TABLE queues RENAME COLUMN type TO kind",
    ):
        other = tmp_path / "other"
        other.write_bytes(path.read_bytes())
        with closing(sqlite3.connect(other, isolation_level=None)) as connection:
            connection.execute(change)
        assert shape(other) != before


def test_migrations_can_be_found_in_an_installed_package():
    folders = {file.parent for file in migrations.LOCATION.rglob("*.py")}
    assert folders == {migrations.LOCATION, migrations.LOCATION / "versions"}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


QUIET = """
import sys
from pathlib import Path
from amqpd.metadata.store import Store
for turn in range(2):
    Store(Path(sys.argv[1])).close()
print(*sorted({"alembic", "mako", "sqlalchemy", "sqlalchemy.orm"} & set(sys.modules)))
"""


def test_alembic_is_not_imported_where_there_is_nothing_to_migrate(path):
    order = [sys.executable, "-c", QUIET, str(path)]
    assert subprocess.run(order, capture_output=True, text=True, check=True).stdout == "sqlalchemy\n"


# -- to a revision that does not exist yet

NOW = schema.REVISION
NEXT = f"{int(NOW) + 1:04}"
HEAD = f'from alembic import op\nimport sqlalchemy as sa\nrevision = "{NEXT}"\ndown_revision = "{NOW}"\n'

WHOLE_TABLE = """
def upgrade():
    with op.batch_alter_table("vhosts", recreate="always") as batch:
        batch.add_column(sa.Column("colour", sa.Text, nullable=False, server_default="grey"))
    op.execute("UPDATE vhosts SET description = description || '!'")
"""
HALF_WAY = """
def upgrade():
    op.execute("DELETE FROM queues")
    op.add_column("queues", sa.Column("colour", sa.Text))
    op.execute("INSERT INTO nowhere VALUES (1)")
"""
RAISES = """
def upgrade():
    op.drop_table("bindings")
    raise RuntimeError("this cannot go on")
"""
ORPHANS = """
def upgrade():
    op.execute("INSERT INTO user_limits VALUES ('nobody', 'max-channels', 1)")
"""


@pytest.fixture
def old(path, tmp_path, monkeypatch):
    """A database of today's, for a program whose newest revision is the next; where that migration is to be written."""
    with closing(Store(path)) as store:
        store.apply(EVERY_KIND, SEQUENCE)
    location = tmp_path / "100% migrations"
    versions = location / "versions"
    versions.mkdir(parents=True)
    for file in (migrations.LOCATION / "env.py", *(migrations.LOCATION / "versions").glob("0*.py")):
        (location / file.relative_to(migrations.LOCATION)).write_text(file.read_text())
    monkeypatch.setattr(migrations, "LOCATION", location)
    monkeypatch.setattr(schema, "REVISION", NEXT)
    return versions / f"{NEXT}_next.py"


def test_a_migration_keeps_what_depends_on_a_table_that_is_made_anew(old, path, caplog):
    old.write_text(HEAD + WHOLE_TABLE)
    with closing(Store(path)) as store:
        vhosts, rest = store.load()[:2], store.load()[2:]
        assert [vhost.description for vhost in vhosts] == ["!", "Büro!"]
        assert rest == EVERY_KIND[2:]
        store.apply([c.DeleteVHost("/")], SEQUENCE + 1)
        # Foreign keys are in force again.
        assert {getattr(command, "vhost", "Zürich") for command in store.load()} == {"Zürich"}
    assert f"migrating {path} from schema {NOW} to {NEXT}; a copy is in {path}.schema-{NOW}" in caplog.text
    with closing(Store(path)) as store:
        assert store.sequence == SEQUENCE + 1


def test_a_copy_is_kept_that_the_older_program_can_use(old, path, monkeypatch):
    old.write_text(HEAD + WHOLE_TABLE)
    Store(path).close()
    copy = path.with_name(f"{NAME}.schema-{NOW}")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    monkeypatch.setattr(schema, "REVISION", NOW)
    copy.rename(path)
    with closing(Store(path)) as store:
        assert (store.load(), store.sequence) == (EVERY_KIND, SEQUENCE)


def test_a_copy_never_replaces_another(old, path):
    old.write_text(HEAD + WHOLE_TABLE)
    for name in (f"{NAME}.schema-{NOW}", f"{NAME}.schema-{NOW}-2"):
        path.with_name(name).write_text("mine")
    Store(path).close()
    assert path.with_name(f"{NAME}.schema-{NOW}").read_text() == "mine"
    assert path.with_name(f"{NAME}.schema-{NOW}-2").read_text() == "mine"
    assert path.with_name(f"{NAME}.schema-{NOW}-3").read_bytes().startswith(b"SQLite format 3\0")


@pytest.mark.parametrize(
    ("migration", "reason"),
    [
        (HALF_WAY, "no such table: nowhere"),
        (RAISES, "this cannot go on"),
        (ORPHANS, "rows of user_limits have lost what they belong to"),
        ("nonsense", "name 'nonsense' is not defined"),
    ],
)
def test_a_migration_that_fails_changes_nothing(old, path, monkeypatch, migration, reason):
    old.write_text(HEAD + migration)
    before, content = dump(path), path.read_bytes()
    with pytest.raises(ConfigError) as caught:
        Store(path)
    assert str(caught.value) == (
        f"{path} could not be migrated from schema {NOW} to {NEXT} ({reason}); nothing was changed: go on with the "
        "version of amqpd that it was used with, and report this"
    )
    assert (dump(path), path.read_bytes()) == (before, content)
    assert {file.name for file in path.parent.iterdir() if file.is_file()} == {NAME, f"{NAME}.lock"}
    monkeypatch.setattr(schema, "REVISION", NOW)
    with closing(Store(path)) as store:
        assert (store.load(), store.sequence) == (EVERY_KIND, SEQUENCE)


def test_without_space_for_a_copy_there_is_no_migration(old, path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    old.write_text(HEAD + WHOLE_TABLE)
    before = dump(path)
    monkeypatch.setattr("amqpd.metadata.database._sync_folder", full)
    with pytest.raises(ConfigError) as caught:
        Store(path)
    assert str(caught.value) == (
        f"{path} must be migrated to schema {NEXT}, and cannot be copied before ([Errno 28] No space left on device); "
        "make space beside it"
    )
    assert dump(path) == before
    assert not path.with_name(f"{NAME}.schema-{NOW}").exists()
