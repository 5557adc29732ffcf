"""docs/definitions-database.md says what is there: every table, every column and type, and queries that run."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from metadata.samples import EVERY_KIND

from amqpd.broker import commands as c
from amqpd.metadata import schema
from amqpd.metadata.arguments import KINDS
from amqpd.metadata.store import NAME, Store
from amqpd.wire.tables import longstr

PAGE = (Path(__file__).parents[2] / "docs" / "definitions-database.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"^([^\n]+):\n\n```sql\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)
# Something that each query finds.
FOUND = [
    *EVERY_KIND,
    c.PutUser("eve", "", "argon2"),
    c.PutQueue("/", "retried", arguments=[("x-dead-letter-exchange", longstr("events"))]),
]


def documented() -> dict[str, list[str]]:
    """Tables and their columns, in the order of the page."""
    chapter = PAGE.split("## What is in it")[1].split("\n## ")[0]
    sections = re.split(r"^### ", chapter, flags=re.MULTILINE)[1:]
    return {section.split()[0]: re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE) for section in sections}


def test_every_table_and_column_is_described_in_its_order():
    tables = {table.name: [column.name for column in table.columns] for table in schema.METADATA.tables.values()}
    assert documented() == tables


def test_every_type_of_argument_is_described():
    chapter = PAGE.split("## AMQP tables")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+) \|", chapter, re.MULTILINE)
    assert sorted(re.findall(r"`([a-z]+)`", " ".join(rows))) == sorted(KINDS)


def test_the_revision_is_that_of_the_schema():
    assert f"that of this page is {schema.REVISION}" in PAGE


@pytest.mark.parametrize(("purpose", "query"), QUERIES, ids=[purpose for purpose, _ in QUERIES])
def test_the_queries_find_what_they_are_for(tmp_path, purpose, query):
    with closing(Store(tmp_path / NAME)) as store:
        store.apply(FOUND, 1)
        with closing(sqlite3.connect(f"{(tmp_path / NAME).as_uri()}?mode=ro", uri=True)) as reader:
            assert reader.execute(query).fetchall() == EXPECTED[purpose]


EXPECTED = {
    "What a queue is bound to": [("events", "", '[["x-match","longstr","any"],["kind","longstr","order"]]')],
    "Queues with a time to live of their own, and what it is": [("/", "orders", 60000)],
    "Queues by the exchange that gets their dead letters, by their arguments alone": [("events", 1)],
    "Policies that set a time to live": [("/", "ttl", 0, "^orders", 1000)],
    "Who may publish to anything at all, and where": [("ann", "/", ".*"), ("ann", "Zürich", "^orders-")],
    "Administrators": [("ann",)],
    "Users who can enter no virtual host": [("eve",)],
    "Queues that nothing is bound to (the default exchange reaches them all the same)": [
        ("/", "retried"),
        ("Zürich", "orders"),
    ],
}


def test_every_query_has_its_test():
    assert list(EXPECTED) == [purpose for purpose, _ in QUERIES]


@pytest.mark.parametrize("statement", ["VACUUM INTO '{copy}'", ".backup"])
def test_a_copy_of_a_running_nodes_database_is_whole(tmp_path, statement):
    copy = tmp_path / "copy"
    with closing(Store(tmp_path / NAME)) as store:
        store.apply(EVERY_KIND, 1)
        with closing(sqlite3.connect(f"{(tmp_path / NAME).as_uri()}?mode=ro", uri=True)) as reader:
            if statement == ".backup":  # the shell's command is SQLite's backup
                with closing(sqlite3.connect(copy)) as target:
                    reader.backup(target)
            else:
                reader.execute(statement.format(copy=copy))
    with closing(Store(copy)) as store:
        assert (store.load(), store.sequence) == (EVERY_KIND, 1)
        assert copy.stat().st_mode & 0o777 == 0o600
