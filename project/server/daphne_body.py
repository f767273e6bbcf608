"""A body that is too long is dropped as it comes, and none is read but by Django.

daphne by itself keeps every byte of it until the last is there.
"""

from __future__ import annotations

from typing import Any

from daphne import http_protocol

# More than any form or delivery report of ours. It is kept to here, so that it can be refused in our own words.
MOST_BODY = 1024 * 1024
# Who sends so much does not listen for an answer.
MOST_PATIENCE = 16 * 1024 * 1024


class Request(http_protocol.WebRequest):  # type: ignore[misc]
    """daphne's request, which keeps MOST_BODY of what is sent and one byte more, the sign that there was more."""

    came = 0

    def __init__(self, *args: Any, **options: Any) -> None:
        """Leave forms to Django. Twisted would read each one as well, for nobody, in a tenth of the whole time."""
        super().__init__(*args, **options)
        self._parsePOSTFormSubmission = False

    def parseCookies(self) -> None:  # noqa: N802
        """Leave cookies to Django as well."""

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802  (Twisted's name)
        """Keep a piece of the body as far as there is room."""
        room = MOST_BODY + 1 - self.came
        self.came += len(data)
        if room > 0:
            super().handleContentChunk(data[:room])
        elif self.came > MOST_PATIENCE:
            self.transport.loseConnection()
