"""Definitions on disk: a SQLite database (`store`), and RabbitMQ's JSON of definitions (`document`).

The broker reads memory; what is here is read once, at start, and written by one writer. SQLAlchemy and Alembic are
known here only, and only `store` and what it uses imports them: it is for whoever starts a node.
"""
