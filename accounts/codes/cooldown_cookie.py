"""The wait for a number that somebody else has asked for, or this browser itself before it took its request back.

No row of the browser's tells of it. The number's gate does: which one, a cookie says until it opens, so that a reload
shows the seconds again. It is signed for this browser and for as long as the wait that it was told of: kept for longer,
or somewhere else, it tells nobody when somebody asks for that number again. It costs nothing where nobody waits. With
Redis away no seconds are shown, and nothing else changes: whether a code may be asked for is never decided here.
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
    """Have the browser `own` remember whose gate it waits for, and until when. The number is a keyed hash in it."""
    response.set_cookie(
        COOKIE,
        signing.dumps([cooldown.key(mobile), time.time() + seconds, own], salt=SALT),
        max_age=math.ceil(seconds),
        httponly=True,
        samesite="Lax",
        secure=settings.SESSION_COOKIE_SECURE,
    )


def forget(response: HttpResponse, cookies: Mapping[str, str]) -> None:
    """Have the browser forget it, if it does remember."""
    if COOKIE in cookies:
        response.delete_cookie(COOKIE, samesite="Lax")
        response.cookies[COOKIE]["httponly"] = True
        response.cookies[COOKIE]["secure"] = settings.SESSION_COOKIE_SECURE or ""


def left(cookies: Mapping[str, str], own: str | None) -> float:
    """Return for how many seconds the gate stays shut that the browser `own` was told of; 0 if it waits for none."""
    try:
        name, until, told = signing.loads(cookies.get(COOKIE, ""), salt=SALT)
    except signing.BadSignature:
        return 0.0
    seconds: float = until - time.time()
    if told != own or seconds <= 0:
        return 0.0
    try:
        # Sooner, if it was opened meanwhile; no later, whoever has shut it again.
        left_ms: int = redis.client().pttl(name)
        return max(0.0, min(seconds, left_ms / 1000))
    except redis.Unavailable:
        return 0.0
