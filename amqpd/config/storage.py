"""The rows of the table that say how messages are kept on disk, and how many of them stay in memory.

They are a part of `amqpd.config.table`, which joins all rows.
"""

from __future__ import annotations

from typing import Final

from amqpd.config.kinds import LONG_TEXT, Size, Text
from amqpd.config.setting import Setting

_KIB: Final = 1024
_MIB: Final = 1024 * _KIB
_FILE: Final = Size(_MIB, 4096 * _MIB)
_BIG: Final = 2**40

STORAGE: Final = (
    Setting(
        "message_memory",
        Size(64 * _KIB, _BIG),
        32 * _MIB,
        "What waiting messages may take in memory, with what the broker needs for each of them. Beyond that they wait "
        "on disk, transient ones as well, and are read ahead for their consumers.",
        limit="message_memory",
        reloadable=True,
    ),
    Setting(
        "journal.file_size",
        _FILE,
        64 * _MIB,
        "The size of a file of the journal, which takes every persistent message first. Files are made ahead, at this "
        "size, and used again.",
    ),
    Setting(
        "journal.size_max",
        Size(2 * _MIB, _BIG),
        256 * _MIB,
        "What the journal's files may take together before messages that still wait in the oldest are moved to "
        "segments. At least twice `journal.file_size`. A larger journal means that fewer messages are written twice.",
    ),
    Setting(
        "journal.unsynced_max",
        Size(64 * _KIB, _BIG),
        64 * _MIB,
        "Bytes that may wait to be on disk before nothing more is read from those who publish them.",
        limit="unsynced_max",
        reloadable=True,
    ),
    Setting(
        "segments.file_size",
        _FILE,
        64 * _MIB,
        "The size up to which a segment, a file of messages that wait for long, is filled.",
    ),
    Setting(
        "encryption.key_file",
        Text("a file", required=False, longest=LONG_TEXT),
        "",
        "The keys with which messages are encrypted on disk (AES-256-GCM), a line for each: an id, and 64 hexadecimal "
        "digits. New files get the first one. The file itself is watched as the configuration is, so that a key can be "
        "changed without a restart. Empty: nothing is encrypted.",
    ),
)
