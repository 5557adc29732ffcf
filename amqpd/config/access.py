"""The rows of the table that say who may come in: definitions, the first user, logins, TLS.

They are a part of `amqpd.config.table`, which joins all rows.
"""

from __future__ import annotations

from typing import Final

from amqpd.config.kinds import (
    LONG_TEXT,
    Addresses,
    Choice,
    Duration,
    Flag,
    Names,
    Networks,
    Number,
    Regexp,
    Text,
    Words,
)
from amqpd.config.setting import Setting

DEFINITIONS: Final = (
    Setting(
        "load_definitions",
        Text("a file or directory", required=False, longest=LONG_TEXT),
        "",
        "Definitions to import when the node starts, as RabbitMQ exports them: a JSON file, or a directory whose JSON "
        "files are imported in the order of their names. Empty: none.",
    ),
    Setting(
        "definitions.skip_if_unchanged",
        Flag(),
        True,
        "Whether definitions that were imported before, and are the same still, are left out.",
    ),
    Setting(
        "default_queue_type",
        Choice("classic", "quorum", "stream"),
        "classic",
        "The type of a queue that is declared without `x-queue-type`, in a virtual host that has no default of its "
        "own.",
        limit="default_queue_type",
        reloadable=True,
    ),
)

# RabbitMQ's rule: these make the first user of a database, once.
FIRST_USER: Final = (
    Setting(
        "default_vhost",
        Text("a name"),
        "/",
        "The virtual host that is made, with `default_user`, when the database is new.",
    ),
    Setting(
        "default_user",
        Text("a name"),
        "guest",
        "The user that is made when the database is new, unless `load_definitions` brings users of its own. Later on, "
        "change users with `amqpctl`.",
    ),
    Setting(
        "default_pass",
        Text("a password", required=False),
        "guest",
        "That user's password. Empty: a node with a new database makes up a password and writes it to the log, once.",
        secret=True,
    ),
    Setting(
        "default_user_tags",
        Names("user tags"),
        ["administrator"],
        "That user's tags.",
    ),
    Setting(
        "default_permissions.configure",
        Regexp(required=False),
        ".*",
        "What that user may declare and delete in `default_vhost`. Empty: nothing.",
    ),
    Setting(
        "default_permissions.write",
        Regexp(required=False),
        ".*",
        "What that user may publish and bind to in `default_vhost`. Empty: nothing.",
    ),
    Setting(
        "default_permissions.read",
        Regexp(required=False),
        ".*",
        "What that user may consume and bind from in `default_vhost`. Empty: nothing.",
    ),
)

ACCESS: Final = (
    Setting(
        "loopback_users",
        Names("user names"),
        ["guest"],
        "Users who can connect from the node's own machine only.",
        reloadable=True,
    ),
    Setting(
        "auth_mechanisms",
        Words("PLAIN", "AMQPLAIN", "EXTERNAL", "ANONYMOUS"),
        ["PLAIN", "AMQPLAIN"],
        "How clients can log in, as offered to them, in this order. `EXTERNAL` takes the name from the client's "
        "certificate, `ANONYMOUS` makes every client `anonymous_login_user`.",
        reloadable=True,
    ),
    Setting(
        "auth_backends",
        Names("names of backends", required=True),
        ["internal"],
        "Who is asked for users and permissions, in turn, until one knows the user. `internal` is the node's own "
        "database; plugins bring others. `AUTHN+AUTHZ` asks one for the password and another for the permissions.",
        reloadable=True,
    ),
    Setting(
        "anonymous_login_user",
        Text("a name", required=False),
        "",
        "Who a client is that logs in with the mechanism `ANONYMOUS`. It needs both: this name, and the mechanism in "
        "`auth_mechanisms`.",
        reloadable=True,
    ),
    Setting(
        "ssl_cert_login_from",
        Choice("distinguished_name", "common_name", "subject_alternative_name"),
        "distinguished_name",
        "The part of a client's certificate that is its user name, for the mechanism `EXTERNAL`.",
        reloadable=True,
    ),
    Setting(
        "ssl_cert_login_san_type",
        Choice("dns", "email", "uri", "ip"),
        "dns",
        "Which subject alternative names count, where the user name is one of them.",
        reloadable=True,
    ),
    Setting(
        "ssl_cert_login_san_index",
        Number(0, 100),
        0,
        "Which of those is the user name; the first is 0.",
        reloadable=True,
    ),
    Setting(
        "password_hashing",
        Choice("argon2", "sha256", "sha512"),
        "argon2",
        "How passwords are hashed that are set from now on. RabbitMQ can import the two SHA forms only.",
        reloadable=True,
    ),
    Setting(
        "credential_validator.validation_backend",
        Choice("accept_everything", "min_password_length", "password_regexp"),
        "accept_everything",
        "The rule that new passwords must obey.",
        reloadable=True,
    ),
    Setting(
        "credential_validator.min_length",
        Number(1, 1024),
        8,
        "The fewest characters of a new password, with the rule `min_password_length`.",
        reloadable=True,
    ),
    Setting(
        "credential_validator.regexp",
        Regexp(required=False),
        "",
        "What must be found in a new password, with the rule `password_regexp`, which needs it.",
        reloadable=True,
    ),
    Setting(
        "login_delay_after",
        Number(0, 1_000_000, zero="never"),
        5,
        "Failed logins from one address within a minute, after which logins from there are slowed.",
        reloadable=True,
    ),
    Setting(
        "login_delay_max",
        Duration(1, 600_000, "ms"),
        5000,
        "The longest pause before such a login is answered; it grows with the number of failures. Keep it below "
        "`handshake_timeout`, which goes on meanwhile.",
        reloadable=True,
    ),
    Setting(
        "trusted_proxies",
        Networks(),
        [],
        "Where load balancers are that send a PROXY protocol header, version 1 or 2. It is expected on every "
        "connection that comes from there, and never believed from anywhere else.",
        reloadable=True,
    ),
)

TLS: Final = (
    Setting(
        "tls_listeners",
        Addresses(unix=False),
        [],
        "Where clients can connect with TLS; the usual port is 5671. Needs `ssl_options.certfile`.",
    ),
    Setting(
        "ssl_options.certfile",
        Text("a file", required=False, longest=LONG_TEXT),
        "",
        "The node's certificate, followed by those between it and the authority, in PEM.",
        reloadable=True,
    ),
    Setting(
        "ssl_options.keyfile",
        Text("a file", required=False, longest=LONG_TEXT),
        "",
        "The certificate's private key, in PEM. Empty: it stands in the certificate's file.",
        reloadable=True,
    ),
    Setting(
        "ssl_options.cacertfile",
        Text("a file", required=False, longest=LONG_TEXT),
        "",
        "The authorities whose client certificates are accepted, in PEM.",
        reloadable=True,
    ),
    Setting(
        "ssl_options.password",
        Text("a password", required=False),
        "",
        "The password of the private key, where it has one.",
        secret=True,
        reloadable=True,
    ),
    Setting(
        "ssl_options.verify",
        Choice("verify_none", "verify_peer"),
        "verify_none",
        "Whether clients are asked for a certificate. One that is not from an authority in `ssl_options.cacertfile` "
        "ends the connection.",
        reloadable=True,
    ),
    Setting(
        "ssl_options.fail_if_no_peer_cert",
        Flag(),
        False,
        "Whether a client without a certificate is refused. Needs `verify_peer`.",
        reloadable=True,
    ),
    Setting(
        "ssl_options.versions",
        Words("tlsv1.2", "tlsv1.3"),
        ["tlsv1.2", "tlsv1.3"],
        "The versions of TLS that are spoken. Older ones are not safe and cannot be had.",
        reloadable=True,
    ),
    Setting(
        "ssl_options.ciphers",
        Text("a list of ciphers in OpenSSL's form", required=False, longest=LONG_TEXT),
        "",
        "The ciphers for TLS 1.2. Empty: those with forward secrecy and authenticated encryption.",
        reloadable=True,
    ),
    Setting(
        "ssl_options.sni",
        Names('"HOST=CERTFILE:KEYFILE"', item=r"[^=\s]+=[^:]+:[^:]+"),
        [],
        "Further certificates, for clients that ask for another host name. A name may begin with `*.`.",
        reloadable=True,
    ),
    Setting(
        "tls_expiry_warning_days",
        Number(0, 3650, zero="never"),
        30,
        "How many days before a certificate expires the log begins to say so.",
        reloadable=True,
    ),
)
