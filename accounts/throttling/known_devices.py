"""Device cookies: a browser that has signed in to an account has counters of its own there.

OWASP, "Slow down online guessing attacks with device cookies". The cookie signs nobody in and reveals nothing. It only
selects the counters of a request, so that a stranger who uses up the limits of an account or a number does not lock its
owner out. It is signed, and holds keyed hashes of the accounts. It outlives a sign-out, because it is needed then. A
new password invalidates it for that account's password; the next sign-in sets it again.
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
# Enough for a shared family computer; the oldest go first. An account has one tag for its password, one for its codes.
MOST_TAGS = 10


def knows_account(request: HttpRequest, user: User | None) -> bool:
    """Tell whether this browser has signed in to the account since it has its present password."""
    return user is not None and _has(request, _account(user))


def knows_number(request: HttpRequest, mobile: str) -> bool:
    """Tell whether this browser has signed in to an account with this number (E.164)."""
    return _has(request, _number(mobile))


def remember(request: HttpRequest, response: HttpResponse, user: User) -> None:
    """Set the cookie: this browser has signed in to this account."""
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
    # With the password's hash: a browser that knew a former password is no longer a known device.
    return f"account {user.pk} {user.password}"


def _number(mobile: str) -> str:
    return f"number {mobile}"


def _tag(what: str, secret: str | None = None) -> str:
    return hmac.digest(keys.derive("device", secret), what.encode(), "sha256").hex()[:24]


def _has(request: HttpRequest, what: str) -> bool:
    tags = _tags(request)
    return any(_tag(what, secret) in tags for secret in (None, *settings.SECRET_KEY_FALLBACKS)) if tags else False


def _tags(request: HttpRequest) -> list[str]:
    """Return the tags in the browser's cookie; none if it is missing, forged or too old."""
    try:
        return cast("list[str]", signing.loads(request.COOKIES.get(COOKIE, ""), salt=SALT, max_age=LIFETIME))
    except signing.BadSignature:
        return []
