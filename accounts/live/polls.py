"""Polls of pages give way to handshakes: a page that polls waits for its socket, which tells it the same and more.

After a restart the polls of a few thousand pages would take the time in which their sockets could be opened.
"""

from __future__ import annotations

from typing import Any

from project.live.handshakes import CROWD_SECONDS, Handshakes, retry_after
from project.server.asgi_wrapper import say

PATH = "/state/"


class Polls:
    """Wraps the HTTP application: a page's poll is refused with 503 and a Retry-After while many handshakes wait.

    A program that asks for the state has no socket, so it is always answered.
    """

    def __init__(self, application: Any, handshakes: Handshakes) -> None:
        """Take the application, and the handshakes to give way to."""
        self.application, self.handshakes = application, handshakes

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer a poll that may wait by itself, and pass everything else on."""
        is_crowded = self.handshakes.expected_seconds > CROWD_SECONDS
        if is_crowded and scope["path"] == PATH and any(name == b"hx-request" for name, _ in scope["headers"]):
            await say(send, 503, "Please come back a little later.", **{"retry-after": b"%d" % retry_after()})
        else:
            await self.application(scope, receive, send)
