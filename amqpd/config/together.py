"""Values that are fine alone and not together."""

from __future__ import annotations

from amqpd.config.settings import Settings


def mistakes(settings: Settings) -> list[str]:
    """A line for each."""
    return [*_order(settings), *_journal(settings), *_logins(settings), *_listeners(settings), *_tls(settings)]


def _order(settings: Settings) -> list[str]:
    pairs = (
        ("frame_min", "frame_max"),
        ("unsent_bytes_max", "unsent_bytes_stop"),
        ("unsent_bytes_stop", "unsent_bytes_hard_max"),
    )
    return [
        f"{lower} ({settings.number(lower)}) is greater than {higher} ({settings.number(higher)})"
        for lower, higher in pairs
        if settings.number(lower) > settings.number(higher)
    ]


def _journal(settings: Settings) -> list[str]:
    file, most = settings.number("journal.file_size"), settings.number("journal.size_max")
    if most >= 2 * file:
        return []
    return [f"journal.size_max ({most}) is less than twice journal.file_size ({file}): one file is always in use"]


def _logins(settings: Settings) -> list[str]:
    found = []
    anonymous = "ANONYMOUS" in settings.names("auth_mechanisms")
    if anonymous and not settings.text("anonymous_login_user"):
        found.append("auth_mechanisms has ANONYMOUS: set anonymous_login_user, which says who such a client is")
    if settings.text("anonymous_login_user") and not anonymous:
        found.append("anonymous_login_user is set: add ANONYMOUS to auth_mechanisms, or set it to nothing")
    rule = settings.text("credential_validator.validation_backend")
    if rule == "password_regexp" and not settings.text("credential_validator.regexp"):
        found.append(
            "credential_validator.validation_backend is password_regexp: set credential_validator.regexp as well"
        )
    return found


def _listeners(settings: Settings) -> list[str]:
    found = []
    if not settings.names("listeners") and not settings.names("tls_listeners"):
        found.append("there is nothing to listen on: set listeners or tls_listeners")
    if settings.names("tls_listeners") and not settings.text("ssl_options.certfile"):
        found.append("tls_listeners need a certificate: set ssl_options.certfile")
    return found


def _tls(settings: Settings) -> list[str]:
    found = []
    verify = settings.text("ssl_options.verify") == "verify_peer"
    if settings.text("ssl_options.keyfile") and not settings.text("ssl_options.certfile"):
        found.append("ssl_options.keyfile is set: set ssl_options.certfile, its certificate")
    if settings.names("ssl_options.sni") and not settings.text("ssl_options.certfile"):
        found.append("ssl_options.sni is set: set ssl_options.certfile, for clients that ask for no or another name")
    if verify and not settings.text("ssl_options.cacertfile"):
        found.append("ssl_options.verify is verify_peer: set ssl_options.cacertfile, the authorities to believe")
    if settings.flag("ssl_options.fail_if_no_peer_cert") and not verify:
        found.append("ssl_options.fail_if_no_peer_cert is true: set ssl_options.verify to verify_peer")
    return found
