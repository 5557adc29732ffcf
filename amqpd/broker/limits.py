"""The limits and choices of a node that its cores obey, as plain numbers, which `reloading.fill` takes from settings.

Defaults are RabbitMQ 4.x's, except where amqpd accepts more (`docs/compatibility.md`).
"""

from __future__ import annotations

HARD_MESSAGE_LIMIT = 536_870_912  # bytes; RabbitMQ's own ceiling for a content
NAME_BYTES_MAX = 255  # of names and routing keys, which are short strings
# What a vhost and a user can be limited in, besides (RabbitMQ: vhosts.md, user-limits.md).
MAX_CONNECTIONS = "max-connections"
MAX_QUEUES = "max-queues"
MAX_CHANNELS = "max-channels"
VHOST_LIMITS = (MAX_CONNECTIONS, MAX_QUEUES)
USER_LIMITS = (MAX_CONNECTIONS, MAX_CHANNELS)


class Limits:
    """Sizes in bytes, times in ms unless the name says seconds. 0 is "no limit" only where a comment says so."""

    def __init__(self) -> None:
        self.channel_max = 2047  # channels of a connection
        self.frame_max = 131_072  # largest frame offered in connection.tune
        self.frame_min = 4096  # smallest frame_max accepted from a client
        self.initial_frame_max = 8192  # before connection.tune-ok
        self.heartbeat_s = 60  # offered in connection.tune; 0 is off
        self.handshake_timeout_ms = 10_000
        self.max_message_size = 16_777_216
        self.consumers_per_channel = 0  # 0: no limit
        self.unsent_max = 131_072  # bytes waiting for a client before its consumers pause
        self.unsent_stop = 8_388_608  # bytes waiting for a client before nothing more is read from it
        self.unsent_hard_max = 134_217_728  # bytes waiting for a client before its connection is closed
        self.dead_letters_max = 1_000_000  # dead letters that wait to be published; more are lost, and logged
        self.route_cache_size = 65_536  # routes remembered by a vhost
        self.message_memory = 33_554_432  # bytes of waiting messages in memory; beyond it they wait on disk
        self.unsynced_max = 67_108_864  # bytes that wait for the disk before publishers do
        self.connection_max = 0  # open connections of the node; 0: no limit
        self.channel_max_per_node = 0  # open channels of the node; 0: no limit
        self.vhost_max = 0  # 0: no limit
        self.default_queue_type = "classic"  # of a vhost that has no default of its own
        self.cluster_queue_limit = 0  # queues of the node; 0: no limit
        self.cluster_exchange_limit = 0  # exchanges of the node; 0: no limit
        self.cluster_binding_limit = 0  # bindings of the node; 0: no limit
