"""Device cookies: a browser that has signed in to an account is known there, and strangers' guesses are not its own.

OWASP, "Slow down online guessing attacks with device cookies". The cookie lets nobody in and shows nobody anything: it
only decides on which counters a request counts, so that a stranger who uses up an account's or a number's limits does
not lock its owner out. It is signed, and names the accounts by keyed hashes only. It outlives a sign-out, since that is
when it is needed; a new password ends what it says of that account's password, in every browser but the one where it
was set, once that one signs in again.
"""

from __future__ import annotations

import hmac
from datetime import timedelta
from typing import TYPE_CHECKING, cast

from django.conf import settings
from django.core import signing

from project import keys

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from accounts.models import User

COOKIE = "__Host-device" if settings.SESSION_COOKIE_SECURE else "device"
SALT = "latchkey.device"
# From the last time that this browser signed in.
LIFETIME = timedelta(days=365)
# A family's browser. Of more accounts, the oldest is forgotten; each is one tag for its password, one for its codes.
MOST_TAGS = 10


def knows_account(request: HttpRequest, user: User | None) -> bool:
    """Tell whether this browser has signed in to the account since it has its present password."""
    return user is not None and _has(request, _account(user))


def knows_number(request: HttpRequest, mobile: str) -> bool:
    """Tell whether this browser has signed in to an account with this number (E.164)."""
    return _has(request, _number(mobile))


def remember(request: HttpRequest, response: HttpResponse, user: User) -> None:
    """Have the browser remember that it has signed in to this account."""
    tags = [_tag(what) for what in _said_of(user)]
    tags += [tag for tag in _tags(request) if tag not in tags]
    response.set_cookie(
        COOKIE,
        signing.dumps(tags[:MOST_TAGS], salt=SALT),
        max_age=LIFETIME,
        httponly=True,
        samesite="Lax",
        secure=settings.SESSION_COOKIE_SECURE,
    )


def _said_of(user: User) -> list[str]:
    return [_account(user), *([_number(user.mobile)] if user.mobile else [])]


def _account(user: User) -> str:
    # With the password's hash in it: whoever knew the former one has no counters of their own any more.
    return f"account {user.pk} {user.password}"


def _number(mobile: str) -> str:
    return f"number {mobile}"


def _tag(what: str, secret: str | None = None) -> str:
    return hmac.digest(keys.derive("device", secret), what.encode(), "sha256").hex()[:24]


def _has(request: HttpRequest, what: str) -> bool:
    tags = _tags(request)
    return any(_tag(what, secret) in tags for secret in (None, *settings.SECRET_KEY_FALLBACKS)) if tags else False


def _tags(request: HttpRequest) -> list[str]:
    """Return what the browser's cookie says, nothing if it has none or if it is not ours or too old."""
    try:
        return cast("list[str]", signing.loads(request.COOKIES.get(COOKIE, ""), salt=SALT, max_age=LIFETIME))
    except signing.BadSignature:
        return []
