"""The countdown for a number whose cooldown another browser has started, or this one before it withdrew its request.

This browser has no row of it, so a cookie names the cooldown, and a reload shows the seconds again. The cookie is
signed for this browser and until the end of that cooldown: kept longer or copied elsewhere, it does not reveal that
somebody requests a code for the number again. Without Redis no countdown is shown. The cookie decides nothing: whether
a code may be requested is up to accounts/codes/issue.lua.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from django.conf import settings
from django.core import signing
from django.http import HttpResponse

from project import redis
from tasks import cooldown

COOKIE = "__Host-wait" if settings.SESSION_COOKIE_SECURE else "wait"
SALT = "latchkey.wait"


def remember(response: HttpResponse, mobile: str, seconds: float, own: str) -> None:
    """Set the cookie: which cooldown the browser `own` waits for, and until when. The number is a keyed hash."""
    response.set_cookie(
        COOKIE,
        signing.dumps([cooldown.key(mobile), time.time() + seconds, own], salt=SALT),
        max_age=math.ceil(seconds),
        httponly=True,
        samesite="Lax",
        secure=settings.SESSION_COOKIE_SECURE,
    )


def forget(response: HttpResponse, cookies: Mapping[str, str]) -> None:
    """Delete the cookie, if there is one."""
    if COOKIE in cookies:
        response.delete_cookie(COOKIE, samesite="Lax")
        response.cookies[COOKIE]["httponly"] = True
        response.cookies[COOKIE]["secure"] = settings.SESSION_COOKIE_SECURE or ""


def left(cookies: Mapping[str, str], own: str | None) -> float:
    """Return how many seconds the browser `own` still has to wait, 0 without a valid cookie."""
    try:
        name, until, told = signing.loads(cookies.get(COOKIE, ""), salt=SALT)
    except signing.BadSignature:
        return 0.0
    seconds: float = until - time.time()
    if told != own or seconds <= 0:
        return 0.0
    try:
        # Sooner if the cooldown was ended early, never later if another one has begun.
        left_ms: int = redis.client().pttl(name)
        return max(0.0, min(seconds, left_ms / 1000))
    except redis.Unavailable:
        return 0.0
