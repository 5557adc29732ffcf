"""The configuration: one table of settings, and the sources that fill it.

Knows nothing of what the settings do; whoever builds a part hands it the values. The table is `table`, its page in the
manual is written by `reference`.
"""

from amqpd.config.load import Sources, load
from amqpd.config.settings import Settings
from amqpd.config.table import SETTINGS, Setting

__all__ = ["SETTINGS", "Setting", "Settings", "Sources", "load"]
