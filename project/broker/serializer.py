"""How a message in the queue is signed: who can write to Redis or RabbitMQ cannot make the worker run anything."""

from __future__ import annotations

import hmac

from huey.serializer import SignedSerializer


class Signed(SignedSerializer):  # type: ignore[misc]
    """Huey's signed serializer with SHA-256 in both places where it has SHA-1.

    ASVS 5.0, 11.4.1 and its appendix C no longer approve SHA-1 for an HMAC or for making a key.
    """

    def __init__(self, secret: str, salt: str) -> None:
        """Take SECRET_KEY, and what sets this use of it apart from all others."""
        super().__init__(secret=secret, salt=salt)
        self._key = hmac.digest(self.secret, self.salt, "sha256")

    def _signature(self, message: bytes) -> bytes:
        """Return what the message is checked by before it is unpacked."""
        return hmac.digest(self._key, message, "sha256").hex().encode()
