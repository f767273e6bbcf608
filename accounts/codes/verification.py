"""Checking a code that a visitor has entered. It is counted before it is compared, and works once."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import transaction

from accounts.codes.decision import challenge_key
from accounts.codes.errors import Expired, Unavailable, Wrong
from accounts.throttling import failed_attempts
from project import outage, redis
from tasks import delivery
from tasks.models import Delivery

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Verified:
    """The proof that this browser holds this number. Only `check` makes one, and only once for a code."""

    mobile: str
    # Of the delivery.
    delivery: str = ""


def check(
    *,
    browser: str,
    purpose: str,
    code: str,
    address: str,
    mobile: str | None = None,
    is_own: Callable[[str], bool] = lambda _mobile: False,
) -> Verified:
    """Use a code up and return the number it was sent to, which must be `mobile` if that is given.

    `is_own` tells whether this browser is a known device: it has signed in with the code's number before.

    Raises Wrong, Expired or Unavailable; failed_attempts.Paused or failed_attempts.Locked after too many wrong codes
    for this number, all its codes together, or from this IP address.
    """
    challenge = challenge_key(purpose, browser)
    try:
        # Redis knows which code is open in this browser, and ends its life by its own clock.
        found = cast("bytes | None", redis.client().get(challenge))
        row = Delivery.objects.filter(pk=found.decode(), purpose=purpose, browser=browser).first() if found else None
        if row is None:
            raise Expired
        with transaction.atomic():
            tries_left, guess = compare(row, code, address, mobile, own=is_own(row.mobile))
    except (redis.Unavailable, DatabaseError) as error:
        raise not_checked(error) from error
    if not tries_left:
        _close(challenge, row.pk)
    return concluded(row, tries_left, guess)


def compare(
    row: Delivery,
    code: str,
    address: str,
    mobile: str | None,
    *,
    own: bool,
    used_between: tuple[timedelta, timedelta] | None = None,
) -> tuple[int | None, failed_attempts.FailedAttempt]:
    """Count a guess, then compare it. Returns None if it is right, else how many are left. Runs in a transaction.

    `used_between`: the code has been used already, at least and at most so long ago.

    Raises Expired, and what failed_attempts.begin raises: then the guess was neither counted nor compared.
    """
    # The row is the referee: of 64 guesses at once five pass here, and of two tabs with the right code one does.
    if used_between:
        count = delivery.count_repeat(row, *used_between, most=settings.SMS_MAX_TRIES)
    else:
        count = delivery.count_guess(row, most=settings.SMS_MAX_TRIES)
    if count is None:
        raise Expired
    guess = failed_attempts.begin("code", row.mobile, address, own=own)
    # A decoy's code was never sent, so a correct entry is still a guess.
    if not row.decoy and row.is_code(code) and mobile in {None, row.mobile}:
        delivery.mark_used(row)
        guess.was_right()
        return None, guess
    return settings.SMS_MAX_TRIES - count, guess


def concluded(row: Delivery, tries_left: int | None, guess: failed_attempts.FailedAttempt) -> Verified:
    """Return the proof that a comparison has given, or raise Wrong, with the failed attempt logged."""
    if tries_left is None:
        return Verified(row.mobile, row.pk)
    guess.was_wrong()
    logger.info("code of delivery %s refused: wrong, %d left", row.pk[:8], tries_left)
    raise Wrong(tries_left)


def not_checked(error: Exception) -> Unavailable:
    """Log which part is away, and return what to raise: the code was not compared."""
    logger.warning("code not checked: %s", outage.name(error))
    return Unavailable()


def _close(challenge: str, delivery_id: str) -> None:
    """Close a challenge, unless the browser has a newer one. Never raises: the row knows that its code is used up."""
    try:
        redis.delete_if(challenge, delivery_id)
    except redis.Unavailable as error:
        logger.warning("challenge of %s not closed: %s", delivery_id[:8], outage.name(error))
