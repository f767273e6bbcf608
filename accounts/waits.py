"""The wait for a number that somebody else has asked for, or this browser itself before it took its request back.

No row of the browser's tells of it. The number's gate does: which one, a cookie says until it opens, so that a reload
shows the seconds again. It costs nothing where nobody waits. With Redis away no seconds are shown, and nothing else
changes: whether a code may be asked for is never decided here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from django.conf import settings
from django.http import HttpResponse

from project import redis
from tasks import gate

COOKIE = "__Host-wait" if settings.SESSION_COOKIE_SECURE else "wait"
# What a stranger has written into it names no other key.
GATE = re.compile(r"gate:[0-9a-f]{32}")


def remember(response: HttpResponse, mobile: str, seconds: float) -> None:
    """Have the browser remember whose gate it waits for. The number is in the cookie as a keyed hash only."""
    response.set_cookie(
        COOKIE,
        gate.key(mobile),
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


def left(cookies: Mapping[str, str]) -> float:
    """Return for how many seconds the gate that the browser waits for stays shut; 0 if it waits for none."""
    name = cookies.get(COOKIE, "")
    if not GATE.fullmatch(name):
        return 0.0
    try:
        return max(0.0, redis.client().pttl(name) / 1000)
    except redis.Unavailable:
        return 0.0
