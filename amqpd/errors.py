"""The exception tree, and the reply codes of AMQP 0-9-1.

    AmqpdError
      ProtocolError          carries reply code, text, and the class and method that failed
        ChannelError           closes the channel (channel.close)
        ConnectionFault        closes the connection (connection.close)
          FrameFault             the byte stream itself is broken: nothing after it can be trusted
        HandshakeFailure       no close method is sent: the socket is dropped after a pause
      MalformedError         bytes that are not what the protocol says; translated by whoever knows the context
        NotUtf8Error           a name that is not UTF-8
      ConfigError            a setting is wrong; names the place and what is allowed
      DefinitionError        an operator's order, or a line of a definitions file, cannot be carried out
      StorageError           what has to be on disk cannot be put there: the node stops
        StorageFullError       ... for want of space, or because the file is in use: the node tries again
        DamagedError           files of the message store are not what was written: the node does not start
        KeyMissingError        ... are encrypted with a key that the node was not given
        VersionError           ... are of a format that this amqpd does not know

Expected outcomes on a message's way (no route, overflow) are return values, never exceptions. Whoever calls a core
translates: what reaches a client is always a reply code and a text of RabbitMQ's (`docs/compatibility.md`).

Sources: AMQP 0-9-1 specification 1.2.1 (reply codes); RabbitMQ prints `NAME - explanation`.
"""

from __future__ import annotations

from typing import Final

CONTENT_TOO_LARGE: Final = 311
NO_ROUTE: Final = 312
CONNECTION_FORCED: Final = 320
ACCESS_REFUSED: Final = 403
NOT_FOUND: Final = 404
RESOURCE_LOCKED: Final = 405
PRECONDITION_FAILED: Final = 406
FRAME_ERROR: Final = 501
SYNTAX_ERROR: Final = 502
COMMAND_INVALID: Final = 503
CHANNEL_ERROR: Final = 504
UNEXPECTED_FRAME: Final = 505
RESOURCE_ERROR: Final = 506
NOT_ALLOWED: Final = 530
NOT_IMPLEMENTED: Final = 540
INTERNAL_ERROR: Final = 541

REPLY_NAMES: Final[dict[int, str]] = {
    CONTENT_TOO_LARGE: "CONTENT_TOO_LARGE",
    NO_ROUTE: "NO_ROUTE",
    CONNECTION_FORCED: "CONNECTION_FORCED",
    ACCESS_REFUSED: "ACCESS_REFUSED",
    NOT_FOUND: "NOT_FOUND",
    RESOURCE_LOCKED: "RESOURCE_LOCKED",
    PRECONDITION_FAILED: "PRECONDITION_FAILED",
    FRAME_ERROR: "FRAME_ERROR",
    SYNTAX_ERROR: "SYNTAX_ERROR",
    COMMAND_INVALID: "COMMAND_INVALID",
    CHANNEL_ERROR: "CHANNEL_ERROR",
    UNEXPECTED_FRAME: "UNEXPECTED_FRAME",
    RESOURCE_ERROR: "RESOURCE_ERROR",
    NOT_ALLOWED: "NOT_ALLOWED",
    NOT_IMPLEMENTED: "NOT_IMPLEMENTED",
    INTERNAL_ERROR: "INTERNAL_ERROR",
}


class AmqpdError(Exception):
    """The root of everything amqpd raises on purpose."""


class MalformedError(AmqpdError):
    """Bytes end too early, or a field is not of its announced form."""


class NotUtf8Error(MalformedError):
    """A short string that should be a name is not UTF-8."""


class ConfigError(AmqpdError):
    """A setting is unknown, ill-typed or out of range; the text names it, where it stands, and what is allowed."""


class DefinitionError(AmqpdError):
    """A change of definitions that cannot be made; the text is for the operator who wants it."""


class StorageError(AmqpdError):
    """A write failed that others rely on; the text names the file and what to do."""


class StorageFullError(StorageError):
    """There was no room for a write, or the file was in use: the same write can be tried again."""


class DamagedError(StorageError):
    """What was acknowledged cannot be read. The text says where, what is concerned, and how to go on."""


class KeyMissingError(StorageError):
    """A file is encrypted, and its key is not among those the node was given; the text names both."""


class VersionError(StorageError):
    """A file is of a format that this version does not know; the text says which."""


class ProtocolError(AmqpdError):
    """A peer broke a rule, or asked for what it cannot have.

    `code` is an AMQP reply code; `text` the reply-text as sent, `NAME - explanation`; operators get the explanation.
    """

    def __init__(self, code: int, explanation: str) -> None:
        self.code = code
        self.explanation = explanation
        self.text = f"{REPLY_NAMES[code]} - {explanation}"
        super().__init__(self.text)


class ChannelError(ProtocolError):
    """Closes the channel on which it happened."""


class ConnectionFault(ProtocolError):
    """Closes the connection on which it happened."""


class FrameFault(ConnectionFault):
    """The stream of frames is broken. The close names no class and no method."""


class HandshakeFailure(AmqpdError):
    """A peer failed before the connection was open: drop the socket after a pause, say nothing (against guessing)."""


def access_refused(explanation: str) -> ProtocolError:
    """403, closes the channel."""
    return ChannelError(ACCESS_REFUSED, explanation)


def not_found(explanation: str) -> ProtocolError:
    """404, closes the channel."""
    return ChannelError(NOT_FOUND, explanation)


def resource_locked(explanation: str) -> ProtocolError:
    """405, closes the channel."""
    return ChannelError(RESOURCE_LOCKED, explanation)


def precondition_failed(explanation: str) -> ProtocolError:
    """406, closes the channel."""
    return ChannelError(PRECONDITION_FAILED, explanation)


def not_allowed(explanation: str) -> ProtocolError:
    """530, closes the connection."""
    return ConnectionFault(NOT_ALLOWED, explanation)


def not_implemented(explanation: str) -> ProtocolError:
    """540, closes the connection."""
    return ConnectionFault(NOT_IMPLEMENTED, explanation)
