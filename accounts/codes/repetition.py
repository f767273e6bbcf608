"""The same code once more, for a browser that never got the answer to its sign-in.

The code is used up, the browser still has its former cookie, and nobody can tell a lost answer from a slow one. So the
code may be entered again where all of this holds:

- in the browser that it was requested in, within `WINDOW` of its use, but not before that answer must have come;
- no request has come with the session that the first entry made. That session ends with the second entry, and the row
  decides: either a request comes with it, or it is replaced. A code never leads to two sessions;
- the digits are right, and the guess is one of those that the code has in all.

Who has the browser's cookie and the digits could have used the code before its owner did. What is added is the time
until the owner's browser makes its next request, and that is the redirect after the sign-in.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import TYPE_CHECKING, cast

from django.db import Error as DatabaseError
from django.db import transaction

from accounts import sessions
from accounts.codes.errors import Expired
from accounts.codes.verification import Verified, compare, concluded, not_checked
from project import outage, redis
from tasks.clock import ago
from tasks.models import Delivery

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest

logger = logging.getLogger(__name__)

PURPOSE = "login"
WINDOW = timedelta(seconds=30)


def allow(verified: Verified, session: str) -> None:
    """Note which session a code's sign-in has made, by the hash of its key. Never raises."""
    try:
        redis.client().set(_key(verified.delivery), session, px=WINDOW)
    except redis.Unavailable as error:
        logger.warning("code of %s cannot be repeated: %s", verified.delivery[:8], outage.name(error))


def hand_over(before: str, after: str) -> None:
    """Let a browser whose id has changed since repeat the code that it has just used. Raises django.db.Error."""
    try:
        row, _session = _repeatable(before)
    except (Expired, redis.Unavailable):
        return
    Delivery.objects.filter(pk=row.pk, browser=before).update(browser=after)


def check(
    request: HttpRequest, *, browser: str, code: str, address: str, mobile: str | None, is_own: Callable[[str], bool]
) -> Verified:
    """Check a code that was used already, and end the session that it made. Raises what `codes.check` raises."""
    try:
        row, session = _repeatable(browser)
        # Requests that came together with the first may have waited for it in this process.
        waited = timedelta(seconds=time.monotonic() - request.META.get("latchkey.arrived", time.monotonic()))
        with transaction.atomic():
            tries_left, guess = compare(
                row, code, address, mobile, own=is_own(row.mobile), used_between=(sessions.SETTLE + waited, WINDOW)
            )
            if tries_left is None and not sessions.end_unread(session, row.pk):
                raise Expired
    except (redis.Unavailable, DatabaseError) as error:
        raise not_checked(error) from error
    if tries_left is None:
        logger.info("code of delivery %s repeated: the first answer was lost", row.pk[:8])
    return concluded(row, tries_left, guess)


def _repeatable(browser: str) -> tuple[Delivery, str]:
    """Return the delivery whose code a browser has just used, and the session that it made. Raises Expired."""
    used = Delivery.objects.filter(browser=browser, purpose=PURPOSE, used_at__gt=ago(WINDOW))
    row = used.order_by("-used_at").first()
    session = cast("bytes | None", redis.client().get(_key(row.pk))) if row else None
    if row is None or session is None or not sessions.is_unread(session.decode(), row.pk):
        raise Expired
    return row, session.decode()


def _key(delivery_id: str) -> str:
    return redis.key("repeat", delivery_id)
