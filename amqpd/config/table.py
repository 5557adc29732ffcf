"""The one table of settings. What is here is read somewhere; what is not here cannot be set.

Where RabbitMQ has the setting, the name is RabbitMQ's. `limit` names the attribute of the broker's limits that a
setting fills. After a change: `python -m amqpd.config.reference`, which writes the page of the manual.
"""

from __future__ import annotations

from typing import Final

from amqpd.config.access import ACCESS, DEFINITIONS, FIRST_USER, TLS
from amqpd.config.kinds import LONG_TEXT, Addresses, Choice, Duration, Flag, Mode, Names, Number, Size, Text, Watermark
from amqpd.config.setting import Setting
from amqpd.config.storage import STORAGE

__all__ = ["GROUPS", "SETTINGS", "Setting"]

_UINT31: Final = 2**31 - 1
_BIG: Final = 2**40

_NODE: Final = (
    Setting(
        "listeners",
        Addresses(unix=True),
        ["0.0.0.0:5672"],
        "Where clients can connect. Port 0 is any free port; the log says which. On the command line: `--listen`.",
    ),
    Setting(
        "unix_socket_mode",
        Mode(),
        "660",
        "Who may connect to a `unix:` listener. A client there counts as being on this machine.",
    ),
    Setting(
        "data_dir",
        Text("a directory", longest=LONG_TEXT),
        "amqpd-data",
        "The node's own directory, made if it is not there. It holds the definitions, the control socket that "
        "`amqpctl` talks to, and a lock that keeps a second node out. On the command line: `--data-dir`.",
    ),
    Setting(
        "node_name",
        Text("a name", required=False),
        "",
        "What the node calls itself to clients (`cluster_name`) and in traces. Empty: `amqpd@` and the host's name.",
    ),
    Setting(
        "plugins",
        Names("modules"),
        [],
        "Python modules to load as plugins, besides those that are installed as such.",
    ),
    Setting(
        "shutdown_timeout",
        Duration(0, 3_600_000, "ms"),
        10_000,
        "How long a stopping node waits for its clients to agree to the end of their connections.",
        reloadable=True,
    ),
    Setting(
        "config_watch",
        Duration(0, 86_400_000, "ms", zero="off"),
        5000,
        "How often the configuration's file, and the certificates and keys it names, are looked at for changes; a "
        "change is obeyed as after SIGHUP.",
        reloadable=True,
    ),
)

_LOG: Final = (
    Setting(
        "log.level",
        Choice("debug", "info", "warning", "error", "critical"),
        "info",
        "The least that is logged.",
        reloadable=True,
    ),
    Setting("log.format", Choice("text", "json"), "text", "Lines for people, or one JSON object a line."),
    Setting(
        "log.file",
        Text("a file", required=False, longest=LONG_TEXT),
        "",
        "Where the log goes; it may be moved away by a log rotator at any time. Empty: standard error.",
    ),
    Setting(
        "log_exchange",
        Flag(),
        False,
        "Whether log lines are also published, to the topic exchange `amq.rabbitmq.log` of the virtual host `/`. The "
        "routing key is the level.",
    ),
    Setting(
        "event_exchange",
        Flag(),
        False,
        "Whether what happens on the node is published to the topic exchange `amq.rabbitmq.event` of the virtual host "
        "`/`.",
    ),
)

_RESOURCES: Final = (
    Setting(
        "vm_memory_high_watermark",
        Watermark(),
        0.6,
        "How much memory the process may use before connections that publish are blocked. A share refers to the "
        "container's limit where there is one, else to the machine's memory. They go on below 95 % of the watermark.",
        reloadable=True,
    ),
    Setting(
        "disk_free_limit",
        Watermark(most=100.0),
        50_000_000,
        "How much must be free on the file system of `data_dir`, as a size or as a share of memory, before connections "
        "that publish are blocked. A share refers to the same memory as `vm_memory_high_watermark`. 0 is no limit.",
        reloadable=True,
    ),
    Setting(
        "handshake_max",
        Number(0, _UINT31, zero="no limit"),
        0,
        "Connections that are not open, because they have just come, or are going. A socket beyond that is closed.",
        reloadable=True,
    ),
    Setting(
        "unsent_bytes_max",
        Size(4096, _BIG),
        131_072,
        "Bytes that may wait for a client before its consumers pause.",
        limit="unsent_max",
        reloadable=True,
    ),
    Setting(
        "unsent_bytes_stop",
        Size(4096, _BIG),
        8_388_608,
        "Bytes that may wait for a client before nothing more is read from it: a client that asks and never takes the "
        "answers.",
        limit="unsent_stop",
        reloadable=True,
    ),
    Setting(
        "unsent_bytes_hard_max",
        Size(4096, _BIG),
        134_217_728,
        "Bytes that may wait for a client before its connection is closed.",
        limit="unsent_hard_max",
        reloadable=True,
    ),
    Setting(
        "dead_letters_max",
        Number(1000, 1_000_000_000),
        1_000_000,
        "Dead letters that may wait to be published; more are lost, which is logged.",
        limit="dead_letters_max",
        reloadable=True,
    ),
    Setting(
        "route_cache_size",
        Number(1, 10_000_000),
        65_536,
        "Routes that a virtual host remembers, one for each pair of exchange and routing key.",
        limit="route_cache_size",
        reloadable=True,
    ),
)

_LIMITS: Final = (
    Setting(
        "connection_max",
        Number(0, _UINT31, zero="no limit"),
        0,
        "Open connections of the node.",
        limit="connection_max",
        reloadable=True,
    ),
    Setting(
        "channel_max_per_node",
        Number(0, _UINT31, zero="no limit"),
        0,
        "Open channels of the node.",
        limit="channel_max_per_node",
        reloadable=True,
    ),
    Setting(
        "consumer_max_per_channel",
        Number(0, _UINT31, zero="no limit"),
        0,
        "Consumers of a channel.",
        limit="consumers_per_channel",
        reloadable=True,
    ),
    Setting(
        "vhost_max",
        Number(0, _UINT31, zero="no limit"),
        0,
        "Virtual hosts.",
        limit="vhost_max",
        reloadable=True,
    ),
    Setting(
        "cluster_queue_limit",
        Number(0, _UINT31, zero="no limit"),
        0,
        "Queues in all virtual hosts together.",
        limit="cluster_queue_limit",
        reloadable=True,
    ),
    Setting(
        "cluster_exchange_limit",
        Number(0, _UINT31, zero="no limit"),
        0,
        "Exchanges in all virtual hosts together.",
        limit="cluster_exchange_limit",
        reloadable=True,
    ),
    Setting(
        "cluster_binding_limit",
        Number(0, _UINT31, zero="no limit"),
        0,
        "Bindings in all virtual hosts together, without those to the default exchange.",
        limit="cluster_binding_limit",
        reloadable=True,
    ),
)

_PROTOCOL: Final = (
    Setting(
        "heartbeat",
        Duration(0, 65_535, "s", zero="off"),
        60,
        "The heartbeat interval offered to clients.",
        limit="heartbeat_s",
        reloadable=True,
    ),
    Setting(
        "handshake_timeout",
        Duration(1, 3_600_000, "ms"),
        10_000,
        "How long a client may take to open its connection.",
        limit="handshake_timeout_ms",
        reloadable=True,
    ),
    Setting(
        "channel_max",
        Number(1, 65_535),
        2047,
        "Channels that a connection may open.",
        limit="channel_max",
        reloadable=True,
    ),
    Setting(
        "frame_max",
        Size(4096, _UINT31),
        131_072,
        "The largest frame, as offered to clients.",
        limit="frame_max",
        reloadable=True,
    ),
    Setting(
        "frame_min",
        Size(4096, 131_072),
        4096,
        "The smallest `frame_max` that a client may ask for. RabbitMQ refuses less than 8192.",
        limit="frame_min",
        reloadable=True,
    ),
    Setting(
        "initial_frame_max",
        Size(4096, 131_072),
        8192,
        "The largest frame before the client has agreed to `frame_max`: it bounds what a login can bring.",
        limit="initial_frame_max",
        reloadable=True,
    ),
    Setting(
        "max_message_size",
        Size(1, 536_870_912),
        16_777_216,
        "The largest message body.",
        limit="max_message_size",
        reloadable=True,
    ),
)

# The groups are the sections of the manual's page.
GROUPS: Final = (
    ("The node", _NODE),
    ("Logs and events", _LOG),
    ("Definitions", DEFINITIONS),
    ("The first user", FIRST_USER),
    ("Access", ACCESS),
    ("TLS", TLS),
    ("Limits", _LIMITS),
    ("Resources", _RESOURCES),
    ("Messages on disk", STORAGE),
    ("Protocol", _PROTOCOL),
)
SETTINGS: Final[dict[str, Setting]] = {setting.name: setting for _title, group in GROUPS for setting in group}
