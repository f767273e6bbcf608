"""The address of RabbitMQ, as `BROKER_URL` writes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True, slots=True)
class Address:
    """Where RabbitMQ is, and who we are there."""

    host: str
    port: int
    vhost: str
    user: str
    password: str = field(repr=False)
    tls: bool = False

    @classmethod
    def parse(cls, url: str) -> Address | None:
        """Read amqp://user:password@host:port/vhost; return None when the text is no such address.

        This raises nothing: an exception's text, or that of its cause, would hold a piece of the password.
        """
        try:
            parts = urlsplit(url)
            tls = parts.scheme == "amqps"
            port = parts.port or (5671 if tls else 5672)
        except ValueError:
            return None
        if parts.scheme not in {"amqp", "amqps"} or not parts.hostname or parts.query or parts.fragment:
            return None
        return cls(
            host=parts.hostname,
            port=port,
            # No path and a bare slash both mean the vhost "/", as in most clients.
            vhost=unquote(parts.path[1:]) or "/",
            user=unquote(parts.username or "guest"),
            password=unquote(parts.password or "guest"),
            tls=tls,
        )

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"
