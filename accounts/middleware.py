"""Django's session middleware, less what would let a reader of the session undo a login."""

from __future__ import annotations

from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase

# Answers to these only read. They never set or delete the session's cookie.
READERS = frozenset({"/state/", "/healthz", "/readyz"})


class SessionMiddleware(DjangoSessionMiddleware):
    """The cookie is left alone by requests that only read.

    Two players: a login in one tab, which gives the browser a new cookie, and a poll that another tab sent with
    the old one a moment before. Django answers an unknown session by deleting its cookie; that answer, coming
    last, would delete the new cookie and sign the visitor out again.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:  # type: ignore[override]
        """Save the session, unless this request is a reader's."""
        if request.path in READERS:
            response.headers.setdefault("Vary", "Cookie")
            return response
        return super().process_response(request, response)  # type: ignore[arg-type]
