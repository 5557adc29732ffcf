"""The keys of RabbitMQ's configuration: which setting each of them fills, and those that amqpd has nothing for.

They are the keys of RabbitMQ 4.3's schema files (deps/*/priv/schema in its repository). What is done with a file's
lines is in `rabbitmq_translate`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from amqpd.config import rabbitmq_values as values


@dataclass(frozen=True, slots=True)
class Meaning:
    """The setting that a key fills, and how its value becomes ours.

    `allowed` is what the key takes, where that is not what the setting says of itself.
    """

    setting: str
    written: Callable[[str], object] = values.same
    allowed: str = ""


@dataclass(frozen=True, slots=True)
class Items:
    """A list, an item a line: `auth_mechanisms.1 = PLAIN`; where `flags`, the name is the item: `tags.NAME = true`.

    `allowed` is what an item's line takes.
    """

    setting: str
    allowed: str
    written: Callable[[str], str] = values.same
    flags: bool = False


FLAG: Final = "true or false"
BACKEND: Final = "a backend's name, as internal"
_SIZE: Final = "a number of bytes, also as 64KB or 2MB"
_MEMORY: Final = "a number of bytes, also as 512MiB, 2GiB or 2GB"
_PASSWORD: Final = "the password itself, or $(<FILE) where it stands in a file"

MEANINGS: Final = {
    "handshake_timeout": Meaning("handshake_timeout"),
    "heartbeat": Meaning("heartbeat"),
    "frame_max": Meaning("frame_max", values.size, _SIZE),
    "initial_frame_max": Meaning("initial_frame_max", values.size, _SIZE),
    "max_message_size": Meaning("max_message_size"),
    "max_channels_per_connection": Meaning("channel_max", values.channels),
    "channel_max": Meaning("channel_max", values.channels),
    "channel_max_per_node": Meaning("channel_max_per_node", values.count),
    "consumer_max_per_channel": Meaning("consumer_max_per_channel", values.count),
    "max_connections": Meaning("connection_max", values.count),
    "connection_max": Meaning("connection_max", values.count),
    "vhost_max": Meaning("vhost_max", values.count),
    "cluster_queue_limit": Meaning("cluster_queue_limit", values.count),
    "cluster_exchange_limit": Meaning("cluster_exchange_limit", values.count),
    "cluster_name": Meaning("node_name"),
    "load_definitions": Meaning("load_definitions"),
    "definitions.local.path": Meaning("load_definitions"),
    "definitions.skip_if_unchanged": Meaning("definitions.skip_if_unchanged"),
    "default_queue_type": Meaning("default_queue_type", values.without("rabbit_", "_queue")),
    "default_vhost": Meaning("default_vhost"),
    "default_user": Meaning("default_user"),
    "default_pass": Meaning("default_pass", values.password, _PASSWORD),
    "default_permissions.configure": Meaning("default_permissions.configure"),
    "default_permissions.write": Meaning("default_permissions.write"),
    "default_permissions.read": Meaning("default_permissions.read"),
    "anonymous_login_user": Meaning("anonymous_login_user", values.name),
    "ssl_cert_login_from": Meaning("ssl_cert_login_from", values.certificate_part),
    "ssl_cert_login_san_type": Meaning("ssl_cert_login_san_type"),
    "ssl_cert_login_san_index": Meaning("ssl_cert_login_san_index"),
    "password_hashing_module": Meaning("password_hashing", values.without("rabbit_password_hashing_")),
    "credential_validator.validation_backend": Meaning(
        "credential_validator.validation_backend", values.without("rabbit_credential_validator_")
    ),
    "credential_validator.min_length": Meaning("credential_validator.min_length"),
    "credential_validator.regexp": Meaning("credential_validator.regexp"),
    "proxy_protocol": Meaning("trusted_proxies", values.everywhere, FLAG),
    "ssl_options.certfile": Meaning("ssl_options.certfile"),
    "ssl_options.keyfile": Meaning("ssl_options.keyfile"),
    "ssl_options.cacertfile": Meaning("ssl_options.cacertfile"),
    "ssl_options.password": Meaning("ssl_options.password", values.password, _PASSWORD),
    "ssl_options.verify": Meaning("ssl_options.verify"),
    "ssl_options.fail_if_no_peer_cert": Meaning("ssl_options.fail_if_no_peer_cert"),
    "vm_memory_high_watermark.relative": Meaning("vm_memory_high_watermark", values.share, "a share, as 0.6"),
    "vm_memory_high_watermark.absolute": Meaning("vm_memory_high_watermark", values.memory, _MEMORY),
    "disk_free_limit.relative": Meaning("disk_free_limit", values.ratio, "a share of memory, as 1.5"),
    "disk_free_limit.absolute": Meaning("disk_free_limit", values.memory, _MEMORY),
    "log.exchange": Meaning("log_exchange"),
    "log.console.formatter": Meaning("log.format", values.log_format),
    "log.file.formatter": Meaning("log.format", values.log_format),
}

_LISTENER: Final = "a port, HOST:PORT or local:PATH:0"
ITEMS: Final = {
    "listeners.tcp": Items("listeners", _LISTENER, values.listener),
    "listeners.ssl": Items("tls_listeners", "a port, or HOST:PORT", values.listener),
    "loopback_users": Items("loopback_users", FLAG, flags=True),
    "default_user_tags": Items("default_user_tags", FLAG, flags=True),
    "auth_mechanisms": Items("auth_mechanisms", "PLAIN, AMQPLAIN, EXTERNAL or ANONYMOUS"),
    "auth_backends": Items("auth_backends", BACKEND, values.backend),
    "ssl_options.versions": Items("ssl_options.versions", "tlsv1.2 or tlsv1.3"),
    "ssl_options.ciphers": Items("ssl_options.ciphers", "a cipher by OpenSSL's name"),
}
CAN_BE_NONE: Final = ("listeners.tcp", "listeners.ssl", "loopback_users")  # as in `listeners.tcp = none`

LOG_LEVELS: Final = ("log.console.level", "log.file.level", "log.default.level")
LOG_PLACES: Final = ("log.file", "log.dir", "log.console")

# Left out, this would let somebody in whom RabbitMQ would not.
REFUSED: Final = {
    "ssl_options.crl_check": "amqpd does not check lists of revoked certificates",
}

# What RabbitMQ knows and amqpd has nothing for; `*` stands for any words.
KNOWN: Final = (
    "amqp10_client.*",
    "amqp_client.*",
    "anonymous_login_pass",
    "auth_cache.*",
    "auth_http.*",
    "auth_ldap.*",
    "auth_oauth2.*",
    "aws.*",
    "background_gc_enabled",
    "background_gc_target_interval",
    "channel_interceptor.priorities.*",
    "classic_queue.default_version",
    "cluster_formation.*",
    "cluster_keepalive_interval",
    "cluster_partition_handling",
    "cluster_partition_handling.*",
    "cluster_tags.*",
    "collect_statistics",
    "collect_statistics_interval",
    "consumer_disconnected_timeout",
    "consumer_timeout",
    "default_limits.vhosts.*",
    "default_policies.operator.*",
    "default_users.*",
    "default_worker_pool_size",
    "definitions.hashing.algorithm",
    "definitions.https.url",
    "definitions.import_backend",
    "definitions.tls.*",
    "delegate_count",
    "deprecated_features.permit.*",
    "distribution.listener.*",
    "erlang.K",
    "event_exchange.protocol",
    "event_exchange.vhost",
    "exchange_types.local_random.enabled",
    "federation.*",
    "hipe_compile",
    "http_dispatch.*",
    "link_max_per_session",
    "log.channel.*",
    "log.connection.*",
    "log.console.*",
    "log.default.rotation.*",
    "log.error_logger_format_depth",
    "log.exchange.*",
    "log.federation.*",
    "log.file.formatter.*",
    "log.file.rotation.*",
    "log.journald",
    "log.journald.*",
    "log.mirroring.*",
    "log.queue.*",
    "log.ra.*",
    "log.summarize_process_state",
    "log.syslog",
    "log.syslog.*",
    "log.upgrade.*",
    "log.user.*",
    "management.*",
    "management_agent.*",
    "memory_monitor_interval",
    "message_interceptors.*",
    "message_store_shutdown_timeout",
    "metadata_store.khepri.*",
    "mirroring_sync_batch_size",
    "mirroring_sync_max_throughput",
    "mnesia_table_loading_retry_limit",
    "mnesia_table_loading_retry_timeout",
    "motd_file",
    "mqtt.*",
    "net_ticktime",
    "node_tags.*",
    "num_acceptors.ssl",
    "num_acceptors.tcp",
    "prevent_startup_if_node_was_reset",
    "product.name",
    "product.version",
    "prometheus.*",
    "queue_index_embed_msgs_below",
    "queue_leader_locator",
    "queue_master_locator",
    "queue_types.*",
    "quorum_queue.*",
    "raft.*",
    "ranch_connection_max",
    "reverse_dns_lookups",
    "runtime_parameters.limits.*",
    "session_max_per_connection",
    "shovel.*",
    "socket_writer.gc_threshold",
    "ssl_allow_poodle_attack",
    "ssl_handshake_timeout",
    "ssl_options",
    "ssl_options.bypass_pem_cache",
    "ssl_options.cert",
    "ssl_options.client_renegotiation",
    "ssl_options.crl_sources.*",
    "ssl_options.depth",
    "ssl_options.dh",
    "ssl_options.dhfile",
    "ssl_options.honor_cipher_order",
    "ssl_options.honor_ecc_order",
    "ssl_options.key.*",
    "ssl_options.log_alert",
    "ssl_options.log_level",
    "ssl_options.psk_identity",
    "ssl_options.reuse_sessions",
    "ssl_options.secure_renegotiate",
    "stomp.*",
    "stream.*",
    "sysmon_handler.*",
    "tcp_listen_options",
    "tcp_listen_options.*",
    "total_memory_available_override_value",
    "tracing.*",
    "trust_store.*",
    "vhost_restart_strategy",
    "vm_memory_calculation_strategy",
    "vm_memory_high_watermark_paging_ratio",
    "web_mqtt.*",
    "web_stomp.*",
)


def keys_of(setting: str) -> list[str]:
    """RabbitMQ's keys that fill a setting, for the manual."""
    found = [key for key, meaning in MEANINGS.items() if meaning.setting == setting]
    for prefix, items in ITEMS.items():
        if items.setting == setting:
            found.append(f"{prefix}.NAME" if items.flags else f"{prefix}.N")
    if setting == "log.level":
        found.extend(LOG_LEVELS)
    if setting == "log.file":
        found.extend(LOG_PLACES)
    return found
