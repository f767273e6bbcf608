"""daphne's request: drops a body that is too long as it comes, and leaves forms and cookies to Django.

daphne keeps every byte of a body until the last has come. It has no setting for the class of its requests.

Saves: the memory of any body beyond MAX_BODY, and a tenth of the time of a POST, which Twisted would parse for nobody.
Breaks if: Twisted renames `handleContentChunk` or `parseCookies`, or `http.Request` takes no `parsePOSTFormSubmission`.
Held by tests/project/test_hooks.py.
"""

from __future__ import annotations

from typing import Any

from daphne import http_protocol

from project.server.asgi_wrapper import MAX_BODY

# Bytes. A client that has sent so much does not wait for an answer: its connection is closed.
MAX_READ = MAX_BODY + 15 * 1024 * 1024


class Request(http_protocol.WebRequest):  # type: ignore[misc]
    """daphne's request, which keeps MAX_BODY of what is sent and one byte more, the sign that there was more."""

    came = 0

    def __init__(self, *args: Any, **options: Any) -> None:
        """Leave forms to Django."""
        super().__init__(*args, **{**options, "parsePOSTFormSubmission": False})

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
