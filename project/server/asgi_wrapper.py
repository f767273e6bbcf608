"""The ASGI wrapper around the HTTP application: cleans each request, and answers when nobody else does."""

from __future__ import annotations

import logging
import re
from typing import Any
from urllib.parse import quote

from django.conf import settings

from project import env, headers

logger = logging.getLogger(__name__)

# Bytes. More than any form or delivery report of ours, and as much as any view of a site takes. It is kept, so that a
# body that is too long for its path can be refused in our own words.
MAX_BODY = max([1024 * 1024, *settings.BODY_LIMITS.values()])
# Headers with parameters that Django reads.
PARAMETERS = frozenset({b"accept", b"content-type"})
# As RFC 9110, 9.1 writes them, so that everything behind this reads the same method.
METHOD = re.compile(r"[A-Z]+")


class AsgiWrapper:
    """Wraps the HTTP application."""

    def __init__(self, application: Any) -> None:
        """Take the application to wrap."""
        self.application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Clean the scope and pass it on.

        WSGI makes one name of `X-Real-IP` and `X_Real_IP`, so names with an underscore are dropped. The root
        path is ours to say. The query is ASCII by the standard. A method in small letters is none (RFC 9110, 9.1), and
        Django would take it for the one in capitals.
        """
        if not METHOD.fullmatch(scope["method"]):
            await say(send, 405, "This method is not known here.", allow=b"GET, HEAD, POST")
            return
        kept = [(k, v) for k, v in scope["headers"] if b"_" not in k]
        # `name*=charset'...'` in one of these: Django fails on a charset that does not exist.
        kept = [(k, v) for k, v in kept if k not in PARAMETERS or b"*=" not in v.replace(b" ", b"")]
        query = quote(scope["query_string"], safe="%&=+;/?:@!$'()*,-._~").encode()
        clean = {**scope, "root_path": "", "headers": kept, "query_string": query}
        await self._answer(clean, receive, send)

    async def _answer(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Run the application, and answer with words of ours if it breaks. Other headers are each answer's own."""
        secure = headers.is_secure(scope["scheme"], dict(scope["headers"]).get(b"x-forwarded-proto"))
        begun = False

        async def complete(event: dict[str, Any]) -> None:
            nonlocal begun
            if event["type"] == "http.response.start":
                begun = True
                event = {**event, "headers": headers.with_hsts(list(event["headers"]), secure=secure)}
            await send(event)

        try:
            await self.application(scope, receive, complete)
        except Exception:
            # Django answers for whatever breaks in it. This is what broke around it.
            logger.exception("%s %s: no answer", scope["method"], scope["path"])
            if begun:
                # It can only end here: what is missing is missing.
                await send({"type": "http.response.body", "body": b""})
            else:
                await say(complete, 500, "Something went wrong.")


class ThisMachineOnly:
    """Wraps the whole application under DEBUG: whoever comes from another machine is refused (T-88).

    `make run` refuses to listen anywhere else, but `daphne -b 0.0.0.0` does not ask; and a page shows every code.
    """

    def __init__(self, application: Any) -> None:
        """Take the application to wrap."""
        self.application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Look at the address that the request came to; on a Unix socket there is none."""
        at = scope.get("server")
        if not at or env.is_loopback(at[0]):
            await self.application(scope, receive, send)
        elif scope["type"] == "http":
            await say(send, 403, "DEBUG=1: this site answers its own machine only.")
        else:
            await receive()
            await send({"type": "websocket.close"})


async def say(send: Any, status: int, words: str, **more: bytes) -> None:
    """Answer in plain words, where no page can be made, with more headers by their names."""
    own = [(b"content-type", b"text/plain; charset=utf-8"), *((name.encode(), value) for name, value in more.items())]
    full = headers.complete(own, status=status)
    await send({"type": "http.response.start", "status": status, "headers": full})
    await send({"type": "http.response.body", "body": f"{words}\n".encode()})
