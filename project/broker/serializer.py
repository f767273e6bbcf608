"""How a message in the queue is signed: whoever can write to Redis or RabbitMQ cannot make the worker run anything."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

from huey.serializer import Serializer

if TYPE_CHECKING:
    from collections.abc import Sequence


class Signed(Serializer):  # type: ignore[misc]
    """Huey's serializer with a signature around it.

    Huey's own SignedSerializer signs with SHA-1, which ASVS 5.0 (11.4.1 and appendix C) no longer approves for an HMAC
    or for making a key, and knows one key only.
    """

    def __init__(self, secret: str, salt: str, *, former: Sequence[str] = ()) -> None:
        """Take SECRET_KEY, what sets this use of it apart from all others, and former keys that are still accepted."""
        super().__init__()
        self._keys = [hmac.digest(each.encode(), salt.encode(), "sha256") for each in (secret, *former)]

    def serialize(self, data: Any) -> bytes:
        message: bytes = super().serialize(data)
        return message + b":" + _signature(self._keys[0], message)

    def deserialize(self, data: bytes) -> Any:
        """Return what a message holds. Its signature is checked before it is unpickled. Raises ValueError."""
        message, _colon, signature = data.rpartition(b":")
        if not any(hmac.compare_digest(signature, _signature(key, message)) for key in self._keys):
            raise ValueError("The message has no valid signature.")
        return super().deserialize(message)


def _signature(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256").hex().encode()
