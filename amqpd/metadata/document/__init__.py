"""RabbitMQ's definitions JSON: `read` and `commands_from` make commands of it, `document_from` makes it of commands.

Pure functions: no file is opened here, nothing of a broker or a database is known.

    checks       problems with their paths; objects read with checks
    values       arguments: JSON and AMQP tables
    gathering    the commands found so far, and what they may refer to
    access       vhosts, users, permissions      )
    topology     exchanges, queues, bindings     ) one function for each kind of object
    policies     policies, parameters            )
    reader       the text, the document, its sections
    writer       the export
"""

from __future__ import annotations

from amqpd.metadata.document.checks import Problem
from amqpd.metadata.document.gathering import Reading
from amqpd.metadata.document.reader import commands_from, read
from amqpd.metadata.document.values import normal
from amqpd.metadata.document.writer import document_from

__all__ = ["Problem", "Reading", "commands_from", "document_from", "normal", "read"]
