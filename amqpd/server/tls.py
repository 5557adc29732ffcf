"""TLS for one connection, without a socket: bytes from the client in, bytes for the client out.

OpenSSL works between two buffers in memory, so a session with TLS reads, sends and waits like any other: `session` puts
this between its socket and its connection, `arrival` does so for the handshake.

Invariants: what waits to be decrypted is less than a record, since `decrypt` takes all that is complete. What waits to
be sent is nothing, once `take_output` was called after each of the others. Nothing can be asked of a `Tls` that has
raised TlsError but `take_output`, which then has the alert.
"""

from __future__ import annotations

import ssl
from typing import Final

RECORD_MAX: Final = 16_384 + 256 + 5  # RFC 8446 5.2, and RFC 5246 6.2.3 without compression

_HANDSHAKE: Final = 22  # the first byte of a client that speaks TLS
_EXPLAINED: Final = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the client shows no certificate",
    "UNSUPPORTED_PROTOCOL": "the client speaks no version of TLS in ssl_options.versions",
    "NO_SHARED_CIPHER": "the client has no cipher in common with this node",
    "CALLBACK_FAILED": "the client asks for a host whose name is not ASCII",
    "NO_SUITABLE_SIGNATURE_ALGORITHM": "the client takes no signature that the node's key can make",
}


class TlsError(Exception):
    """TLS has failed. The text is for the log."""


class NotTlsError(TlsError):
    """The client does not speak TLS."""


class Tls:
    """The server's side. `ended` is set once the client has said that nothing more will come."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._received: Final = ssl.MemoryBIO()
        self._output: Final = ssl.MemoryBIO()
        self._ssl: Final = context.wrap_bio(self._received, self._output, server_side=True)
        self._begun = False
        self.ended = False

    @property
    def version(self) -> str:
        """The version of TLS that was agreed upon, as `TLSv1.3`."""
        return self._ssl.version() or ""

    @property
    def certificate(self) -> bytes | None:
        """The certificate that the client has shown and that was verified, in DER."""
        return self._ssl.getpeercert(binary_form=True)

    def handshake(self, received: bytes | memoryview) -> bool:
        """Go on with the handshake; whether it is done. Costs about a millisecond of CPU. Raises TlsError."""
        if not self._begun and received and received[0] != _HANDSHAKE:
            raise NotTlsError("the client does not speak TLS")
        self._begun = self._begun or bool(received)
        self._received.write(received)
        try:
            self._ssl.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            raise TlsError(explained(error)) from None
        return True

    def decrypt(self, received: bytes | memoryview, into: memoryview) -> int:
        """Decrypt what was received; returns how many bytes were written to `into`. Raises TlsError.

        `into` must be larger than `received` by RECORD_MAX at least, for what came before; it may be the same memory.
        """
        self._received.write(received)
        size = 0
        try:
            while not self.ended:
                got: int = self._ssl.read(len(into) - size, into[size:])  # type: ignore[assignment]  # given a buffer
                size += got
                self.ended = got == 0
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            raise TlsError(explained(error)) from None
        return size

    def encrypt(self, data: bytes) -> bytes:
        """What to send for `data`, and whatever TLS itself has to send before. Raises TlsError."""
        try:
            self._ssl.write(data)
        except ssl.SSLError as error:
            raise TlsError(explained(error)) from None
        return self._output.read()

    def take_output(self) -> bytes:
        """What TLS itself has to send: its side of the handshake, an alert, a key update."""
        return self._output.read()

    def close(self) -> bytes:
        """What tells the client that nothing more will come. Nothing can be encrypted afterwards."""
        try:
            self._ssl.unwrap()
        except ssl.SSLError:  # it wants to read the client's answer, which nobody waits for
            pass
        return self._output.read()


def explained(error: ssl.SSLError) -> str:
    """OpenSSL's reason for people."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the client's certificate is refused: {error.verify_message}"
    reason = error.reason or "unknown error"
    words = reason.replace("_", " ").lower()
    if "ALERT" in reason:
        return f"the client gave up: {words}"
    return _EXPLAINED.get(reason, words)
