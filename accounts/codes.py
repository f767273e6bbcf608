"""Confirmation codes, from issue to use. A code is bound to its number, purpose and browser, and it works once."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings
from django.db import Error as DatabaseError
from django.db.models import Count, Max, Min
from django.db.models.functions import Now

from project import keys, redis
from tasks import delivery, gate
from tasks.models import Delivery, random_id
from tasks.sms import send_sms_code

if TYPE_CHECKING:
    from redis import Redis

logger = logging.getLogger(__name__)

PURPOSES = ("login",)
HOUR = 3600
DAY = 86400
# Consecutive wrong guesses at a number's codes, over all its codes, before only a password helps. NIST SP 800-63B-4,
# 3.2.2 allows 100; four whole codes are plenty for honest fingers.
MAX_FAILURES = 20
FAILURES_LIFE = DAY
# Seconds after which a gate must have its row: the database's own time-out is five.
ORPHANED = 10
# Says that the counters below are complete. An emptied Redis has lost it, and they are counted anew from the rows.
# So they are after a change of SECRET_KEY, which gives every counter another name: the mark is named by the key too.
WARM = f"limits:warm:{keys.hashed('limits', '')[:8]}"

# The whole decision and all that it writes, in one step and one round trip: who loses writes nothing.
# KEYS gate, challenge, warm, counters   ARGV id, cooldown ms, code's life ms, number, then a limit and a life each
ISSUE = """
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then return {'ok', 0} end
local shut = redis.call('PTTL', KEYS[1])
if shut > 0 then return {'cooldown', shut, holder} end
if redis.call('EXISTS', KEYS[3]) == 0 then return {'cold', 0} end
for i = 4, #KEYS do
  if tonumber(redis.call('GET', KEYS[i]) or '0') >= tonumber(ARGV[i * 2 - 3]) then
    return {'limit', math.max(redis.call('PTTL', KEYS[i]), 1000)}
  end
end
for i = 4, #KEYS do
  if redis.call('INCR', KEYS[i]) == 1 then redis.call('EXPIRE', KEYS[i], ARGV[i * 2 - 2]) end
end
if tonumber(ARGV[2]) > 0 then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], 'id', ARGV[1], 'number', ARGV[4], 'tries', '0')
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return {'ok', 0}
"""

# A guess is counted in the same step that accepts it, so 64 guesses at once are still five.
# KEYS challenge, failures   ARGV id, right or not, tries, failures, life of failures in s
CHECK = """
local failures = tonumber(redis.call('GET', KEYS[2]) or '0')
if failures >= tonumber(ARGV[4]) then return {'locked', redis.call('TTL', KEYS[2])} end
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then return {'gone', 0} end
local tries = redis.call('HINCRBY', KEYS[1], 'tries', 1)
if ARGV[2] == '1' then
  redis.call('DEL', KEYS[1], KEYS[2])
  return {'ok', 0}
end
redis.call('INCR', KEYS[2])
redis.call('EXPIRE', KEYS[2], ARGV[5])
if tries >= tonumber(ARGV[3]) then redis.call('DEL', KEYS[1]) end
return {'wrong', math.max(0, tonumber(ARGV[3]) - tries)}
"""


class Unavailable(Exception):
    """Redis or the database is away. The visitor is asked to try again; nothing was promised or will be sent."""


class Refused(Exception):
    """No code now. The visitor sees how long to wait."""

    def __init__(self, seconds: float) -> None:
        """Keep how many seconds are left."""
        super().__init__()
        self.seconds = seconds


class TooFrequent(Refused):
    """The number's cooldown is running. The visitor sees the countdown and what runs already."""


class LimitReached(Refused):
    """A limit is used up: the number's of an hour or a day, the address's, or the site's. Which one is not said."""


class Wrong(Exception):
    """Not the digits, or not for this number. The visitor sees how many tries are left."""

    def __init__(self, tries_left: int | None = None) -> None:
        """Keep the tries that are left, None when the guess was not counted."""
        super().__init__()
        self.tries_left = tries_left


class Expired(Exception):
    """No code is open in this browser: used, burned, too old, or never asked for. The visitor is sent for a new one."""


@dataclass(frozen=True, slots=True)
class Verified:
    """The proof that this browser holds this number. Only `check` makes one, and only once for a code."""

    mobile: str


def issue(*, mobile: str, purpose: str, browser: str, address: str, language: str) -> Delivery:
    """Promise an SMS with a fresh code and return its delivery, queued.

    `mobile` is E.164, `browser` and `address` are keyed hashes, `language` is the page's. Raises TooFrequent,
    LimitReached or Unavailable; in all three nothing was written.
    """
    delivery_id = random_id()
    try:
        said, left_ms, holder = _decide(delivery_id, mobile, purpose, browser, address)
        if said == "cooldown" and _is_orphan(holder, left_ms):
            gate.give_back(mobile, holder)
            said, left_ms, holder = _decide(delivery_id, mobile, purpose, browser, address)
    except redis.Unavailable as error:
        # The gate may be shut although its answer was lost, and no SMS will come for it.
        gate.give_back(mobile, delivery_id)
        logger.warning("code refused: redis %s", type(error).__name__)
        raise Unavailable from error
    if said == "cooldown":
        raise TooFrequent(left_ms / 1000)
    if said == "limit":
        logger.warning("code refused: a limit is reached")
        raise LimitReached(left_ms / 1000)
    try:
        row = delivery.accept(
            delivery_id, mobile=mobile, purpose=purpose, browser=browser, address=address, language=language
        )
    except delivery.TooSoon as wait:
        gate.give_back(mobile, delivery_id)
        raise TooFrequent(wait.seconds) from wait
    except DatabaseError as error:
        gate.give_back(mobile, delivery_id)
        logger.warning("code refused: database %s", type(error).__name__)
        raise Unavailable from error
    _ring(delivery_id)
    return row


def check(*, browser: str, purpose: str, code: str, mobile: str | None = None) -> Verified:
    """Use a code up. `mobile`, when given, must be the number that it was sent to.

    Raises Wrong, Expired, LimitReached (too many wrong guesses at this number, over all its codes) or Unavailable.
    """
    client = redis.client()
    challenge = _challenge(purpose, browser)
    try:
        # The challenge only says which delivery; the number stands in the row.
        found = cast("bytes | None", client.hget(challenge, "id"))
        row = Delivery.objects.filter(pk=found.decode(), purpose=purpose, browser=browser).first() if found else None
        if row is None:
            raise Expired
        right = row.is_code(code) and mobile in {None, row.mobile}
        said, left, _ = _run(
            client,
            CHECK,
            [challenge, f"failures:{keys.hashed('mobile', row.mobile)}"],
            [row.pk, int(right), settings.SMS_MAX_TRIES, MAX_FAILURES, FAILURES_LIFE],
        )
    except (redis.Unavailable, DatabaseError) as error:
        logger.warning("code not checked: %s", type(error).__name__)
        raise Unavailable from error
    if said == "ok":
        delivery.mark_used(row)
        return Verified(row.mobile)
    logger.info("code of delivery %s refused: %s, %s left", row.pk[:8], said, left)
    if said == "locked":
        raise LimitReached(left)
    if said == "gone":
        # Two tabs can send the right code at once. The script deletes the challenge for only one of them.
        raise Expired
    raise Wrong(left)


def _challenge(purpose: str, browser: str) -> str:
    """Return the key under which a browser's open challenge lies. Another purpose or browser does not find it."""
    return f"challenge:{purpose}:{browser}"


def _counters(mobile: str, address: str) -> list[tuple[str, int, int]]:
    """Return key, limit and life in seconds of every counter that a request counts on."""
    number = keys.hashed("mobile", mobile)
    return [
        (f"sent:hour:{number}", settings.SMS_PER_HOUR, HOUR),
        (f"sent:day:{number}", settings.SMS_PER_DAY, DAY),
        (f"sent:address:{address}", settings.SMS_PER_IP_HOUR, HOUR),
        ("sent:all", settings.SMS_BUDGET_HOUR, HOUR),
    ]


def _is_orphan(holder: str, left_ms: int) -> bool:
    """Tell whether a gate was shut for a request that came to nothing.

    A Redis that hung does what it was asked when it wakes up, long after the visitor was told that nothing was
    sent. Such a gate's holder has no row, and its web process has had time enough to write one.
    """
    age = settings.SMS_COOLDOWN - left_ms / 1000
    try:
        return age > ORPHANED and not Delivery.objects.filter(pk=holder).exists()
    except DatabaseError:
        return False


def _decide(delivery_id: str, mobile: str, purpose: str, browser: str, address: str) -> tuple[str, int, str]:
    """Ask Redis: `ok`, `cooldown` or `limit`, the milliseconds left, and whose cooldown it is."""
    counters = _counters(mobile, address)
    names = [gate.key(mobile), _challenge(purpose, browser), WARM, *(name for name, _, _ in counters)]
    values: list[str | int] = [
        delivery_id,
        settings.SMS_COOLDOWN * 1000,
        settings.SMS_CODE_TTL * 1000,
        keys.hashed("mobile", mobile),
    ]
    for _, limit, life in counters:
        values += [limit, life]
    client = redis.client()
    try:
        said = _run(client, ISSUE, names, values)
    except redis.Lost:
        # The answer may be lost although the gate is ours. Asked again with the same id, the script says so.
        said = _run(client, ISSUE, names, values)
    if said[0] == "cold":
        _count_anew(client)
        said = _run(client, ISSUE, names, values)
    if said[0] == "cold":
        raise redis.Unavailable("the counters do not stay")
    return said


def _run(client: Redis, script: str, names: list[str], values: list[str | int]) -> tuple[str, int, str]:
    """Run a script in one round trip and return its word, its number, and the id that it names, if it names one."""
    word, number, *more = cast("list[Any]", client.register_script(script)(keys=names, args=values))
    return word.decode(), int(number), more[0].decode() if more else ""


def _count_anew(client: Redis) -> None:
    """Fill counters and gates of an emptied Redis from the rows, so that a restart forgets no limit and no cooldown."""
    day = Delivery.objects.filter(created_at__gt=delivery.ago(timedelta(seconds=DAY)))
    hour = day.filter(created_at__gt=delivery.ago(timedelta(seconds=HOUR)))
    found: list[tuple[str, int, int, timedelta]] = []
    for rows, field, prefix, life in (
        (hour, "mobile", "sent:hour:", HOUR),
        (day, "mobile", "sent:day:", DAY),
        (hour, "address", "sent:address:", HOUR),
    ):
        for entry in rows.values(field).annotate(n=Count("pk"), first=Min("created_at"), now=Max(Now())):
            name = keys.hashed("mobile", entry[field]) if field == "mobile" else entry[field]
            found.append((prefix + name, entry["n"], life, entry["now"] - entry["first"]))
    total = hour.aggregate(n=Count("pk"), first=Min("created_at"), now=Max(Now()))
    if total["n"]:
        found.append(("sent:all", total["n"], HOUR, total["now"] - total["first"]))
    shut = hour.filter(resend_at__gt=Now()).annotate(now=Now()).order_by("-created_at")
    # All or none: the mark never stands without the counters. NX: another process may be counting on already.
    with client.pipeline() as pipe:
        for row in shut:
            left = (row.resend_at - row.now) // timedelta(milliseconds=1) + 1
            pipe.set(gate.key(row.mobile), row.pk, px=left, nx=True)
        for name, n, life, age in found:
            pipe.set(name, n, ex=max(1, life - int(age.total_seconds())), nx=True)
        pipe.set(WARM, 1)
        pipe.execute()
    logger.warning("redis was empty: %d limits were counted anew from the table", len(found))


def _ring(delivery_id: str) -> None:
    """Ring the queue's bell. Whether it was heard does not matter: a sweeper rings again for a row nobody came for."""
    try:
        send_sms_code(delivery_id)
    except Exception as error:  # noqa: BLE001  (a broker may raise what it likes; the request is accepted already)
        logger.warning("delivery %s is not rung for: %s", delivery_id[:8], type(error).__name__)
