"""The sockets' door: from whose page, and how many, before Redis or the database is asked for anything.

Who is not let in gets a refused handshake. The page then polls, and tries again at growing intervals (RFC 6455, 7.2.3).
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


class Place(NamedTuple):
    """What is counted: the open sockets of `who`, by kind."""

    kind: str
    who: str = ""


class Door(OriginValidator):  # type: ignore[misc]
    """Wraps the sockets' application.

    The origin is the whole of it (RFC 6455, 10.2; ASVS 5.0, 4.4.2): a browser sends the cookie with a stranger's page.

    The caps are counted in this process, which is the one that they protect: its memory and its open files. In Redis
    each handshake would wait for a round trip, and what a killed server had counted would stand until it ran out;
    here the count goes with the sockets. Several servers each have their own.
    """

    def __init__(self, application: Any, allowed_origins: list[str]) -> None:
        """Take the application, and the origins of our own pages."""
        super().__init__(application, allowed_origins)
        self.open: Counter[Place] = Counter()
        # Written into the log once, until there is nobody: an attack is no reason to fill a disk.
        self.told: set[Place] = set()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Let a socket in if there is room, and note when it has gone."""
        headers = dict(scope["headers"])
        if not self.is_ours(headers.get(b"origin"), headers.get(b"host"), (scope.get("server") or ("", None))[1]):
            await refuse(scope, receive, send)
            return
        limits = places(scope, headers)
        for place, most in limits.items():
            if self.open[place] >= most:
                self.tell(place, most)
                await refuse(scope, receive, send)
                return
        # Nothing is awaited between the look and the count, so no two take one place.
        self.open.update(limits.keys())
        try:
            # The root path is ours to say, not the `Daphne-Root-Path` header's: the router fails on a wrong one.
            await self.application({**scope, "root_path": ""}, receive, send)
        finally:
            for place in limits:
                self.open[place] -= 1
                if not self.open[place]:
                    del self.open[place]
                    self.told.discard(place)

    def is_ours(self, origin: bytes | None, host: bytes | None, port: int | None = None) -> bool:
        """Tell whether the page behind a handshake is one of ours. One that cannot be read is not.

        It is when it comes from PUBLIC_ORIGIN, or from the very name and port that it asks for, if that is a name
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

    def tell(self, place: Place, most: int) -> None:
        """Write into the log that there is no room."""
        if place not in self.told:
            self.told.add(place)
            who = keys.hashed(place.kind, place.who)[:8] if place.who else "all"
            logger.warning("sockets are refused: %s %s has %d open", place.kind, who, most)


def places(scope: dict[str, Any], headers: dict[bytes, bytes]) -> dict[Place, int]:
    """Return the places that a socket takes, with the most that there may be of each."""
    taken = {Place("server"): settings.SOCKETS, Place("address", socket_address(scope)): settings.SOCKETS_PER_ADDRESS}
    if key := session_key(headers):
        # Nobody has looked yet whether there is such a session. Who makes one up is shown out a moment later.
        taken[Place("session", sessions.hashed(key))] = settings.SOCKETS_PER_SESSION
    return taken


def session_key(headers: dict[bytes, bytes]) -> str:
    """Return the session's key from a handshake's cookies, empty if there is none."""
    cookies = parse_cookie(headers.get(b"cookie", b"").decode("latin-1"))
    return cookies.get(settings.SESSION_COOKIE_NAME, "")


async def refuse(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Refuse a handshake: 403, and nothing is asked of any other part. An application by itself."""
    await receive()
    await send({"type": "websocket.close"})
