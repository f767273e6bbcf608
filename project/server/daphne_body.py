"""A body that is too long is dropped as it comes, and none is read but by Django.

daphne by itself keeps every byte of it until the last is there.
"""

from __future__ import annotations

from typing import Any

from daphne import http_protocol

from project.server.asgi_wrapper import MAX_BODY

# Bytes. A client that has sent so much does not wait for an answer: its connection is closed.
MAX_READ = 16 * 1024 * 1024


class Request(http_protocol.WebRequest):  # type: ignore[misc]
    """daphne's request, which keeps MAX_BODY of what is sent and one byte more, the sign that there was more."""

    came = 0

    def __init__(self, *args: Any, **options: Any) -> None:
        """Leave forms to Django. Twisted would read each one as well, for nobody, in a tenth of the whole time."""
        super().__init__(*args, **options)
        self._parsePOSTFormSubmission = False

    def parseCookies(self) -> None:  # noqa: N802
        """Leave cookies to Django as well."""

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802  (Twisted's name)
        """Keep a piece of the body as far as there is room."""
        room = MAX_BODY + 1 - self.came
        self.came += len(data)
        if room > 0:
            super().handleContentChunk(data[:room])
        elif self.came > MAX_READ:
            self.transport.loseConnection()
