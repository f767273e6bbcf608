"""Django's session middleware, less what would let a reader undo a login, and with an answer without a database."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.conf import settings
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.core.exceptions import BadRequest, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest
from django.http.response import HttpResponse, HttpResponseBase

from accounts import answers

logger = logging.getLogger(__name__)

# Answers to these only read. They never set or delete the session's cookie.
READERS = frozenset({"/state/", "/healthz", "/readyz"})


class SessionMiddleware(DjangoSessionMiddleware):
    """The cookie is left alone by requests that only read.

    Two players: a login in one tab, which gives the browser a new cookie, and a poll that another tab sent with
    the old one a moment before. Django answers an unknown session by deleting its cookie; that answer, coming
    last, would delete the new cookie and sign the visitor out again.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:  # type: ignore[override]
        """Save the session, unless this request is a reader's.

        A reader that comes first after a change of SECRET_KEY has its session moved by Django, and must be told where.
        """
        key = request.session.session_key
        moved = key is not None and key != request.COOKIES.get(settings.SESSION_COOKIE_NAME)
        if request.path in READERS and not moved:
            response.headers.setdefault("Vary", "Cookie")
            return response
        try:
            return super().process_response(request, response)  # type: ignore[arg-type]
        except (OperationalError, InterfaceError) as error:
            return _away(request, error)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Say so when the database is away, or when a body cannot be read. What the request began was rolled back."""
        if isinstance(exception, OperationalError | InterfaceError):
            return _away(request, exception)
        if isinstance(exception, BadRequest | SuspiciousOperation):
            logger.info("%s %s: not readable: %s", request.method, request.path, type(exception).__name__)
            return answers.unreadable(request)
        return None


def refuse_long_bodies(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Refuse a body by its length, whatever it says it is. Django lets the files in it be as long as they like."""

    def middleware(request: HttpRequest) -> HttpResponse:
        length = request.META.get("CONTENT_LENGTH") or "0"
        reports = request.path.startswith("/receipts/")
        most = settings.RECEIPTS_MAX_MEMORY_SIZE if reports else settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if length.isdecimal() and int(length) > most:
            logger.info("%s %s: not readable: %s bytes", request.method, request.path, length)
            return answers.unreadable(request)
        return get_response(request)

    return middleware


def _away(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.error("%s %s: the database is away: %s", request.method, request.path, type(error).__name__)
    return answers.away(request)
