"""Which sockets are accepted: by the page's origin and by how many are open, before Redis or the database is asked.

Any other handshake is refused. The page then polls, and tries again at growing intervals (RFC 6455, 7.2.3).
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from channels.security.websocket import OriginValidator
from django.conf import settings
from django.http import parse_cookie
from django.http.request import split_domain_port, validate_host

from accounts import sessions
from accounts.throttling.client_ip import socket_address
from project import keys

logger = logging.getLogger(__name__)


class Owner(NamedTuple):
    """Whose open sockets are counted: the server's, an address's or a session's."""

    kind: str
    name: str = ""


class ConnectionLimits(OriginValidator):  # type: ignore[misc]
    """Wraps the sockets' application: Channels' check of the origin, and limits on open sockets.

    The origin is all that tells whose page it is (RFC 6455, 10.2; ASVS 5.0, 4.4.2): a browser sends our cookie from a
    stranger's page as well.

    Sockets are counted in this process, whose memory and open files the limits protect. In Redis each handshake would
    wait for a round trip, and what a killed server had counted would stay until it expired. Each server has its own.
    """

    def __init__(self, application: Any, allowed_origins: list[str]) -> None:
        """Take the application, and the origins of our own pages."""
        super().__init__(application, allowed_origins)
        self.open: Counter[Owner] = Counter()
        # Logged once, until the owner has no socket left: an attack is no reason to fill a disk.
        self.logged: set[Owner] = set()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Accept a socket if there is room, and count it until it has gone."""
        # Nothing is awaited between comparing and counting, so no two take one place.
        counted = self.count(scope, dict(scope["headers"]))
        if not counted:
            await refuse(scope, receive, send)
            return
        if scope.get("root_path"):
            # Ours to set, not the `Daphne-Root-Path` header's: the router fails on a wrong one.
            scope = {**scope, "root_path": ""}
        try:
            await self.application(scope, receive, send)
        finally:
            for owner in counted:
                self.open[owner] -= 1
                if not self.open[owner]:
                    del self.open[owner]
                    self.logged.discard(owner)

    def count(self, scope: dict[str, Any], headers: dict[bytes, bytes]) -> tuple[Owner, ...]:
        """Count a socket that may be opened and return whose it is; nobody's, if it may not."""
        if not self.is_ours(headers.get(b"origin"), headers.get(b"host"), (scope.get("server") or ("", None))[1]):
            return ()
        limits = owners(scope, headers)
        for owner, most in limits.items():
            if self.open[owner] >= most:
                self.log(owner, most)
                return ()
        self.open.update(limits.keys())
        return tuple(limits)

    def is_ours(self, origin: bytes | None, host: bytes | None, port: int | None = None) -> bool:
        """Tell whether the page behind a handshake is one of ours. An origin that cannot be parsed is not.

        It is ours when it comes from PUBLIC_ORIGIN, or from the very name and port that it asks for, if that is a name
        that we answer: what Django's CSRF check asks of a form. A page of another port is another site's. Where the
        Host header has no port, it is the scheme's own or the `port` that the handshake came to.
        """
        try:
            page = urlsplit((origin or b"").decode("latin-1"))
            if self.valid_origin(page):
                return True
            asked = urlsplit(f"//{(host or b'').decode('latin-1')}")
            usual = 443 if settings.SECURE else 80
            ports = {asked.port} if asked.port else {usual, port or usual}
            same = page.hostname == asked.hostname and (page.port or usual) in ports
        except ValueError:
            return False
        scheme = "https" if settings.SECURE else "http"
        name, _port = split_domain_port(asked.netloc)
        return same and page.scheme == scheme and bool(name) and validate_host(name, settings.ALLOWED_HOSTS)

    def log(self, owner: Owner, most: int) -> None:
        """Log that an owner may not open more sockets."""
        if owner not in self.logged:
            self.logged.add(owner)
            who = keys.hashed(owner.kind, owner.name)[:8] if owner.name else "all"
            logger.warning("sockets are refused: %s %s has %d open", owner.kind, who, most)


def owners(scope: dict[str, Any], headers: dict[bytes, bytes]) -> dict[Owner, int]:
    """Return whose a socket is, each with how many they may have open."""
    taken = {Owner("server"): settings.SOCKETS, Owner("address", socket_address(scope)): settings.SOCKETS_PER_ADDRESS}
    if key := session_key(headers):
        # Whether there is such a session is not known yet. The consumer refuses one that was made up.
        taken[Owner("session", sessions.hashed(key))] = settings.SOCKETS_PER_SESSION
    return taken


def session_key(headers: dict[bytes, bytes]) -> str:
    """Return the session's key from a handshake's cookies, empty if there is none."""
    cookies = parse_cookie(headers.get(b"cookie", b"").decode("latin-1"))
    return cookies.get(settings.SESSION_COOKIE_NAME, "")


async def refuse(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Refuse a handshake with 403, without asking any other part. This is an ASGI application."""
    await receive()
    await send({"type": "websocket.close"})
