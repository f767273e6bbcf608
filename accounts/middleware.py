"""Django's session middleware, less what would let a reader undo a login, and with an answer without a database."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.middleware import AuthenticationMiddleware as DjangoAuthenticationMiddleware
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.core.exceptions import BadRequest, SuspiciousOperation
from django.db import Error as DatabaseError
from django.http import HttpRequest
from django.http.response import HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.utils.cache import patch_vary_headers
from django.utils.functional import SimpleLazyObject

from accounts import responses, sessions
from project import database

logger = logging.getLogger(__name__)

# Answers to these only read. They never set or delete the session's cookie.
PROBES = frozenset({"/healthz", "/readyz"})
READERS = PROBES | {"/state/"}


class SessionMiddleware(DjangoSessionMiddleware):
    """No answer deletes the cookie, and those that only read set none.

    Two players: a login or a new password in one tab, which gives the browser a new cookie, and a request that another
    tab sent with the old one a moment before. Django answers an unknown session by deleting its cookie; that answer,
    coming last, would delete the new cookie and sign the visitor out again. An old cookie that stays does no harm: it
    opens nothing, and the next page replaces it.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:  # type: ignore[override]
        """Save the session, unless this request is a reader's."""
        session = request.session
        if request.path in READERS or session.is_empty():
            patch_vary_headers(response, ("Cookie",))
            return response
        try:
            return super().process_response(request, response)  # type: ignore[arg-type]
        except SessionInterrupted:
            if request.method not in {"GET", "HEAD"}:
                raise
            # Ended in another tab while this page was made: the browser asks again with the cookie that it has now.
            return HttpResponseRedirect(request.get_full_path())
        except DatabaseError as error:
            if not database.is_away(error):
                raise
            return _away(request, error)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Say so when the database is away, or when a body cannot be read. What the request began was rolled back."""
        if database.is_away(exception):
            return _away(request, exception)
        if isinstance(exception, BadRequest | SuspiciousOperation):
            logger.info("%s %s: not readable: %s", request.method, request.path, type(exception).__name__)
            return responses.unreadable(request)
        return None


class AuthenticationMiddleware(DjangoAuthenticationMiddleware):
    """Django's, which finds out who it is without moving or ending the session on the way."""

    def process_request(self, request: HttpRequest) -> HttpResponse | None:  # type: ignore[override]
        """Have the user looked up when somebody asks; at once where there may be one.

        A session of a former password is nobody's, and holds nothing. Whoever reads it has to know that from the
        beginning: a page would else go on with a cookie that no socket takes.
        """
        request.user = SimpleLazyObject(lambda: _user(request))  # type: ignore[assignment]
        try:
            _ = request.path not in PROBES and sessions.is_session(request) and request.user.is_authenticated
        except DatabaseError as error:
            if not database.is_away(error):
                raise
            return _away(request, error)
        return None


def _user(request: HttpRequest) -> object:
    with request.session.only_read():  # type: ignore[attr-defined]
        return auth.get_user(request)


def refuse_long_bodies(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Refuse a body by its length, whatever it says it is. Django lets the files in it be as long as they like."""

    def middleware(request: HttpRequest) -> HttpResponse:
        length = request.META.get("CONTENT_LENGTH") or "0"
        reports = request.path.startswith("/receipts/")
        most = settings.RECEIPTS_MAX_MEMORY_SIZE if reports else settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if length.isdecimal() and int(length) > most:
            logger.info("%s %s: not readable: %s bytes", request.method, request.path, length)
            return responses.unreadable(request)
        return get_response(request)

    return middleware


def _away(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.error("%s %s: the database is away: %s", request.method, request.path, type(error).__name__)
    return responses.away(request)
