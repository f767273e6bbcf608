"""Django's middleware for sessions and users, changed so that reading never undoes a login, and a limit on bodies."""

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
from project import database, outage

logger = logging.getLogger(__name__)

# A request to this path only reads: its answer never sets or deletes the session cookie.
POLL = "/state/"


class SessionMiddleware(DjangoSessionMiddleware):
    """No answer deletes the session cookie, and those that only read do not set it.

    The race: a login or a new password in one tab gives the browser a new cookie, while another tab has just sent a
    request with the old one. Django deletes the cookie of an unknown session; if that answer arrives last, it deletes
    the new cookie and signs the visitor out. An old cookie does no harm: it opens no session, and the next page
    replaces it.
    """

    def process_request(self, request: HttpRequest) -> None:
        """Open the session that the cookie names."""
        super().process_request(request)
        request.session.of_request = True  # type: ignore[attr-defined]

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:  # type: ignore[override]
        """Save the session, unless the request only reads."""
        session = request.session
        # A page that polls with the cookie of a visitor who has ended would never have a socket: it gets another.
        only_reads = request.path == POLL and not sessions.ended_visitor(request)
        if only_reads or session.is_empty():
            patch_vary_headers(response, ("Cookie",))
            return response
        try:
            return super().process_response(request, response)  # type: ignore[arg-type]
        except SessionInterrupted:
            if request.method not in {"GET", "HEAD"}:
                raise
            # Another tab ended the session meanwhile: the browser repeats the request with its present cookie.
            return HttpResponseRedirect(request.get_full_path())
        except DatabaseError as error:
            if not database.is_away(error):
                raise
            return _away(request, error)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer 503 to an outage, and 400 to a malformed body. The transaction has been rolled back."""
        if outage.is_outage(exception):
            return _away(request, exception)
        if isinstance(exception, BadRequest | SuspiciousOperation):
            logger.info("%s %s: not readable: %s", request.method, request.path, type(exception).__name__)
            return responses.unreadable(request)
        return None


class AuthenticationMiddleware(DjangoAuthenticationMiddleware):
    """Django's, which looks the user up without rotating or ending the session."""

    def process_request(self, request: HttpRequest) -> HttpResponse | None:  # type: ignore[override]
        """Set a lazy user, and look it up at once if there is a session.

        A session signed with a former password has no user and no data. Views must know that from the start, or a
        page would go on with a cookie that no socket accepts.
        """
        request.user = SimpleLazyObject(lambda: _user(request))  # type: ignore[assignment]
        try:
            _ = sessions.is_session(request) and request.user.is_authenticated
        except DatabaseError as error:
            if not database.is_away(error):
                raise
            return _away(request, error)
        return None


def _user(request: HttpRequest) -> object:
    with request.session.only_read():  # type: ignore[attr-defined]
        return auth.get_user(request)


def refuse_long_bodies(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Refuse a body that is too long, of any content type. Django does not limit uploaded files."""

    def middleware(request: HttpRequest) -> HttpResponse:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdecimal() and int(length) > _most(request.path):
            logger.info("%s %s: not readable: %s bytes", request.method, request.path, length)
            return responses.unreadable(request)
        return get_response(request)

    return middleware


def _most(path: str) -> int:
    """Return how many bytes a body for this path may have. Of a site's own limits the longest path counts."""
    if path.startswith("/receipts/"):
        return settings.RECEIPTS_MAX_MEMORY_SIZE
    limit = max((start for start in settings.BODY_LIMITS if path.startswith(start)), key=len, default="")
    return settings.BODY_LIMITS.get(limit, settings.FORM_MAX_SIZE)


def _away(request: HttpRequest, error: Exception) -> HttpResponse:
    part = "the database" if isinstance(error, DatabaseError) else "Redis"
    logger.error("%s %s: %s is away: %s", request.method, request.path, part, outage.name(error))
    return responses.away(request)
