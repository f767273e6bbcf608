"""Failed attempts in a row. Each guess is counted before anything is hashed or compared, in three places.

- For the secret: an account's password, or all the codes of a number together (NIST SP 800-63B-4, 3.1.3.2: a new code
  does not reset the count). After some guesses there are pauses, each twice as long as the last. An account has one
  count, whatever name, number or spelling was typed.
- For the IP address, so that one guess at each of a thousand accounts is stopped as well.
- For both together, so that one address alone can neither pause an account for others more than once, nor use up the
  wrong codes that a number has. This count alone would let both attacks pass.

A known device, a browser that has signed in to the account before (`own`), is counted apart from all that: strangers
cannot pause it (OWASP, device cookies). Nobody is locked out entirely: too many wrong passwords leave codes open, and
the other way round (ASVS 5.0, 6.1.1).

The counts are in the database: a Redis that is away or empty gives nobody new attempts.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from django.conf import settings
from django.db import transaction
from django.db.models import DateTimeField, ExpressionWrapper, F, Q
from django.db.models.functions import Greatest, Now

from accounts.models import Guesses
from accounts.throttling import proof_of_work
from project import keys, redis
from project.sql import Statement, utc
from tasks.clock import ago, ahead

if TYPE_CHECKING:
    from django.db.models import QuerySet

logger = logging.getLogger(__name__)

Kind = Literal["password", "code"]
# How pauses grow.
Growth = Literal["password", "code", "own code", "code of one address"]

# Guesses in a row before the first pause. Of codes that is one whole code's worth.
FREE: dict[Kind, int] = {"password": settings.PASSWORD_TRIES, "code": settings.SMS_MAX_TRIES}
LONGEST_PAUSE = timedelta(hours=1)
# After so many a number's codes are locked until its password signs in or an operator unlocks them. NIST SP 800-63B-4,
# 3.2.2, allows a hundred in all: strangers have most of them, the owner's browsers the rest.
MOST_CODES = 80
MOST_CODES_OWN = 20
MOST: dict[Growth, int] = {"code": MOST_CODES, "own code": MOST_CODES_OWN}
# Of those, so many come from one address; from then on it has one a day.
MOST_CODES_OF_ADDRESS = 2 * settings.SMS_MAX_TRIES
FOR_EVER = datetime(9999, 1, 1, tzinfo=UTC)
# An address may be a whole office: GUESSES_PER_IP at once, then one a minute.
ADDRESS_EVERY = timedelta(minutes=1)
# Failed attempts an hour over the whole site, after which the log warns of an attack from many addresses.
ALARM = 200
HOUR_SECONDS = 3600
# The page says how many attempts are left from here on.
TOLD_FROM = 3
# Passwords of an account are forgotten after this long without a guess. Codes are not.
KEPT_FOR = timedelta(days=1)


class Paused(Exception):
    """Too many failed attempts: this one was neither counted nor compared. The visitor sees how long to wait."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds


class Locked(Exception):
    """Too many wrong codes: this number's codes are locked. The visitor is sent to the password, or to the operator."""


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """One guess that is counted already, as a wrong one."""

    kind: Kind
    subject: str
    # The key of its address's bucket, empty for a browser of the owner's: no address is counted for it.
    source: str
    # Wrong ones in a row, this one among them.
    count: int
    # Seconds until the next is accepted.
    pause: float

    @property
    def left(self) -> int | None:
        """How many more may follow without a pause; None while that is no news."""
        left = max(0, FREE[self.kind] - self.count)
        return left if left <= TOLD_FROM else None

    def was_right(self) -> None:
        """Take it back, and all before it at the same secret. Others from the same address stay counted."""
        _all_of(self.kind, self.subject).delete()
        if self.source:
            back = ExpressionWrapper(Greatest(F("open_at"), Now()) - ADDRESS_EVERY, output_field=DateTimeField())
            Guesses.objects.filter(key=self.source).update(open_at=back)

    def was_wrong(self) -> None:
        """Log it, and raise the alarm when the whole site has had too many. Never raises."""
        logger.info("wrong %s, %d in a row, pause %.0f s", self.kind, self.count, self.pause)
        try:
            client = redis.client()
            wrong_key = redis.key("failed_attempts")
            with client.pipeline() as pipe:
                pipe.incr(wrong_key)
                # NX: the hour runs from the first, it is not renewed by each.
                pipe.expire(wrong_key, HOUR_SECONDS, nx=True)
                wrong, _ = pipe.execute()
        except redis.Unavailable:
            return
        if wrong == ALARM:
            logger.warning("ALARM: %d wrong guesses within an hour over the whole site", ALARM)


def begin(kind: Kind, subject: str, address: str, *, own: bool = False, proven: bool = True) -> FailedAttempt:
    """Count a guess before it is compared, and return it.

    `subject` is what the secret belongs to: `of_account` for a password, the number in E.164 for a code. `address` is
    the visitor's keyed hash, `own` says that this browser is a known device, `proven` that a proof of work came with
    the request.

    Raises Paused, Locked, proof_of_work.Needed, or django.db.Error when the guess cannot be counted. After each of them
    the secret must not be compared.
    """
    secret = key(kind, subject, own=own)
    source, pair = ("", "") if own else (f"address:{address}", _pair(secret, address))
    # Most of a flood ends here, without waiting for the right to write.
    _mind_pause(kind, secret, pair)
    if not proven and (settings.ALTCHA == "always" or _is_near(kind, secret, source)):
        raise proof_of_work.Needed
    with transaction.atomic():
        if own:
            counts = [_count("own code" if kind == "code" else kind, secret)]
        else:
            _count_address(source, address)
            counts = [_count("code of one address" if kind == "code" else kind, pair, secret)]
            # What one address has guessed too often no longer pauses the account for everybody else.
            if kind == "code" or counts[0][0] <= FREE[kind]:
                counts.append(_count(kind, secret))
    count, pause = (max(each) for each in zip(*counts, strict=True))
    return FailedAttempt(kind, subject, source, int(count), pause)


def of_account(pk: int | None, typed: str) -> str:
    """Return the subject of a guess at a password: the account that the look-up found, else what was typed.

    `typed` is in its canonical form: a number in E.164, a name in small letters.
    """
    return f"user:{pk}" if pk is not None else f"nobody:{typed}"


def is_locked(mobile: str, *, own: bool = False) -> bool:
    """Tell whether a number's codes are switched off, for strangers or for browsers that have signed in with it."""
    return HAS.row(key=key("code", mobile, own=own), least=MOST_CODES_OWN if own else MOST_CODES) is not None


def forgive(kind: Kind, subject: str) -> int:
    """Forget what was guessed at one secret: its owner came in, or an operator says so. Returns how many guesses."""
    rows = _all_of(kind, subject)
    counts = [row.count for row in rows if not row.secret]
    rows.delete()
    return sum(counts)


def forgive_all() -> int:
    """Forget every failed attempt, and end every pause and lock. Return how many there were. For a developer.

    Raises redis.Unavailable or django.db.Error.
    """
    # A pair's are also in the row of its secret.
    counts = Guesses.objects.filter(secret="").values_list("count", flat=True)
    forgotten = sum(counts)
    Guesses.objects.all().delete()
    redis.client().delete(redis.key("failed_attempts"))
    return forgotten


def clear() -> int:
    """Delete what no longer stops anybody, and return how many. Codes are counted until one is right."""
    quiet = Guesses.objects.filter(last_at__lt=ago(KEPT_FOR), open_at__lt=Now())
    return int(quiet.exclude(key__startswith="code:").delete()[0])


def key(kind: Kind, subject: str, *, own: bool = False) -> str:
    """Return what stands for a secret in the table. Kinds do not mix, and no name or number can be read from it."""
    return f"{kind}:{'own:' if own else ''}{keys.hashed(kind, subject)}"


def _pair(secret: str, address: str) -> str:
    return f"pair:{keys.hashed(secret, address)}"


def _all_of(kind: Kind, subject: str) -> QuerySet[Guesses]:
    secret = key(kind, subject)
    return Guesses.objects.filter(Q(key__in=[secret, key(kind, subject, own=True)]) | Q(secret=secret))


# These run for each guess of a flood, and the last two while others wait for SQLite's one lock.
PAUSED = Statement("""
    SELECT *, {now} AS now FROM accounts_guesses
    WHERE key IN (%(key)s, %(pair)s) AND open_at > {now} ORDER BY open_at DESC LIMIT 1
""")
HAS = Statement("SELECT 1 FROM accounts_guesses WHERE key = %(key)s AND count >= %(least)s")
# Of many guesses at once, each waits for the one before it: the row is the referee, and the pause is in it.
COUNT = Statement("""
    INSERT INTO accounts_guesses (key, secret, count, last_at, open_at)
    VALUES (%(key)s, %(secret)s, 1, {now}, {now})
    ON CONFLICT (key) DO UPDATE SET count = accounts_guesses.count + 1, last_at = {now}
    WHERE accounts_guesses.open_at <= {now}
    RETURNING count
""")
DRIP = Statement("""
    INSERT INTO accounts_guesses (key, secret, count, last_at, open_at)
    VALUES (%(key)s, '', 0, {now}, {now + every})
    ON CONFLICT (key) DO UPDATE SET last_at = {now}, open_at = {max(accounts_guesses.open_at, now) + every}
    WHERE accounts_guesses.open_at <= {now + room}
""")


def _count_address(source: str, address: str) -> None:
    """Count one more guess from an address, or raise Paused."""
    if _drip(source, settings.GUESSES_PER_IP, ADDRESS_EVERY):
        return
    logger.warning("guesses from address %s are paused", address[:8])
    full = Guesses.objects.annotate(now=Now()).get(key=source)
    left = full.open_at - full.now - (settings.GUESSES_PER_IP - 1) * ADDRESS_EVERY
    raise Paused(max(1.0, left.total_seconds()))


def _count(growth: Growth, name: str, secret: str = "") -> tuple[int, float]:
    """Count one more in a row and lengthen its pause, if none runs. Returns the count and the seconds of the pause.

    `secret` is what a pair's row belongs to. Raises Paused or Locked.
    """
    while (counted := COUNT.row(key=name, secret=secret)) is None:
        _mind_pause(growth, name)
    count: int = counted[0]
    if growth in MOST and count >= MOST[growth]:
        Guesses.objects.filter(key=name).update(open_at=FOR_EVER)
        return count, LONGEST_PAUSE.total_seconds()
    pause = _pause(growth, count)
    if pause:
        Guesses.objects.filter(key=name).update(open_at=ahead(pause))
    return count, pause.total_seconds()


def _is_near(kind: Kind, secret: str, source: str) -> bool:
    """Tell whether half of what is allowed is used up."""
    if HAS.row(key=secret, least=FREE[kind] // 2) is not None:
        return True
    half = settings.GUESSES_PER_IP // 2 * ADDRESS_EVERY
    return source != "" and Guesses.objects.filter(key=source, open_at__gt=ahead(half)).exists()


def _mind_pause(what: str, name: str, pair: str = "") -> None:
    """Raise Paused or Locked if a pause runs. `what` is for the log."""
    found = PAUSED.objects(Guesses, key=name, pair=pair)
    if not found:
        return
    row: Any = found[0]
    logger.info("%s attempt rejected without checking: %d consecutive failures", what, row.count)
    if row.open_at == FOR_EVER:
        raise Locked
    raise Paused(max(1.0, (row.open_at - utc(row.now)).total_seconds()))


def _pause(growth: Growth, count: int) -> timedelta:
    """Return the pause after so many failed attempts in a row."""
    if growth == "code of one address":
        return KEPT_FOR if count >= MOST_CODES_OF_ADDRESS else timedelta()
    # Passwords: a pause after each further guess. Codes: one after each whole code's worth, so that a new code can be
    # used; the first pause is over before a new code can be requested, so that only guessers notice it.
    if growth == "password":
        free, every, first = FREE["password"], 1, 30.0
    else:
        free, every, first = FREE["code"], FREE["code"], max(1.0, settings.SMS_COOLDOWN / 2)
    pauses, between = divmod(count - free, every)
    if pauses < 0 or between:
        return timedelta()
    # Twice as long each time. The exponent is bounded: twenty doublings are long past the longest pause.
    return min(timedelta(seconds=first * 2 ** min(pauses, 20)), LONGEST_PAUSE)


def _drip(name: str, burst: int, every: timedelta) -> bool:
    """Count one in a bucket that leaks one `every` so often and holds `burst`. False when it is full.

    The generic cell rate algorithm (ITU-T I.371): `open_at` is when the bucket would be empty.
    """
    return bool(DRIP.run(key=name, room=(burst - 1) * every, every=every))
