"""Confirmation codes, from issue to use. A code is bound to its number, purpose and browser, and it works once."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import transaction

from accounts.throttling import failed_attempts, proof_of_work
from project import redis
from project.live.push import published
from tasks import cooldown, delivery, limits
from tasks.delivery import accept
from tasks.models import Delivery, random_id
from tasks.sms import MET, send_sms_code

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis import Redis

logger = logging.getLogger(__name__)

PURPOSES = ("login",)
# Seconds after which a gate must have its row: the database's own time-out is five.
ORPHANED = 10

# The whole decision and all that it writes, in one step and one round trip: who loses writes nothing. Who wins has rung
# the queue's bell and told the pages with it, a moment before the row is there: both wait for it.
# KEYS gate, challenge, warm, queue, counters
# ARGV id, cooldown ms, code's life ms, asks for a proof or not, records only or not, the queue's entry or nothing, the
# pages' channel and the message for it; then three for each counter: its limit, for how many ms a request counts, and
# from how many on a proof is asked for
ISSUE = """
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then return {'ok', 0} end
local shut = redis.call('PTTL', KEYS[1])
if shut > 0 then return {'cooldown', shut, holder} end
if redis.call('EXISTS', KEYS[3]) == 0 then return {'cold', 0} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local full, near, wait = 0, false, 0
for i = 5, #KEYS do
  local of = i * 3 - 6
  local most, life = tonumber(ARGV[of]), tonumber(ARGV[of + 1])
  local count = redis.call('ZCOUNT', KEYS[i], now - life, '+inf')
  if count >= most then
    if full == 0 then full = i end
    -- There is room again when all but the newest `most - 1` have left the window.
    local last = most > 0 and redis.call('ZREVRANGE', KEYS[i], most - 1, most - 1, 'WITHSCORES')[2]
    wait = math.max(wait, last and last + life - now or life)
  end
  if count >= tonumber(ARGV[of + 2]) then near = true end
end
if full > 0 and ARGV[5] == '0' then return {'limit', math.max(wait, 1000), tostring(full - 5)} end
if near and ARGV[4] == '1' then return {'proof', 0} end
for i = 5, #KEYS do
  local life = tonumber(ARGV[i * 3 - 5])
  -- First what a full Redis refuses: once a script has written anything, it is let go on.
  redis.call('ZADD', KEYS[i], now, ARGV[1])
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now - life)
  redis.call('PEXPIRE', KEYS[i], life)
end
if tonumber(ARGV[2]) > 0 then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[3])
if ARGV[6] ~= '' then redis.call('LPUSH', KEYS[4], ARGV[6]) end
redis.call('PUBLISH', ARGV[7], ARGV[8])
if full > 0 then return {'ok', 0, tostring(full - 5)} end
return {'ok', 0}
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


def issue(
    *, mobile: str, purpose: str, browser: str, address: str, language: str, proven: bool = False, own: bool = False
) -> Delivery:
    """Promise an SMS with a fresh code and return its delivery, queued.

    `mobile` is E.164, `browser` and `address` are keyed hashes, `language` is the page's, `proven` says that a proof
    of humanity came with the request, `own` that the browser has signed in with this number before. Raises
    TooFrequent, LimitReached, proof.Needed, guesses.Shut or Unavailable; in all of them nothing was promised.
    """
    delivery_id = random_id()
    ask = _Request(delivery_id, mobile, purpose, browser, address, proven=proven, own=own)
    began = time.monotonic()
    try:
        said, left_ms, more = ask.decide()
        if said == "cooldown" and _is_orphan(more, left_ms):
            cooldown.give_back(mobile, more)
            said, left_ms, more = ask.decide()
        # Of those that would be accepted only: whoever is refused costs the database nothing.
        shut = said == "ok" and failed_attempts.is_shut(mobile, own=own)
    except (redis.Unavailable, DatabaseError) as error:
        # The gate may be shut although its answer was lost, and no SMS will come for it.
        ask.take_back()
        logger.warning("code refused: %s", type(error).__name__)
        raise Unavailable from error
    if said == "cooldown":
        raise TooFrequent(left_ms / 1000)
    if said == "limit":
        logger.warning("code refused: a limit is reached: %s", ask.counters[int(more)].name)
        raise LimitReached(left_ms / 1000)
    if said == "proof":
        logger.info("code refused: a proof of humanity is needed")
        raise proof_of_work.Needed
    if shut:
        ask.take_back()
        logger.info("code refused: codes of this number are switched off")
        raise failed_attempts.Shut
    if more:
        logger.warning("code would be refused: a limit is reached: %s", ask.counters[int(more)].name)
    try:
        row = accept.accept(
            delivery_id,
            mobile=mobile,
            purpose=purpose,
            browser=browser,
            address=address,
            language=language,
            own=own,
        )
    except accept.TooSoon as wait:
        ask.take_back()
        raise TooFrequent(wait.seconds) from wait
    except DatabaseError as error:
        ask.take_back()
        logger.warning("code refused: database %s", type(error).__name__)
        raise Unavailable from error
    if not ask.rings or time.monotonic() - began > MET:
        _ring(delivery_id)
    return row


def check(
    *,
    browser: str,
    purpose: str,
    code: str,
    address: str,
    mobile: str | None = None,
    is_own: Callable[[str], bool] = lambda _mobile: False,
) -> Verified:
    """Use a code up. `mobile`, when given, must be the number that it was sent to.

    `is_own` tells of the code's number whether this browser has signed in with it before.

    Raises Wrong, Expired, Unavailable, or guesses.Paused and guesses.Shut after too many wrong guesses at this number,
    over all its codes, or from this address.
    """
    challenge = _challenge(purpose, browser)
    try:
        # Redis says which code is open in this browser, and ends its life by its own clock.
        found = cast("bytes | None", redis.client().get(challenge))
        row = Delivery.objects.filter(pk=found.decode(), purpose=purpose, browser=browser).first() if found else None
        if row is None:
            raise Expired
        with transaction.atomic():
            left, guess = _use(row, code, address, mobile, own=is_own(row.mobile))
    except (redis.Unavailable, DatabaseError) as error:
        logger.warning("code not checked: %s", type(error).__name__)
        raise Unavailable from error
    if not left:
        _close(challenge, row.pk)
    if left is None:
        return Verified(row.mobile)
    guess.was_wrong()
    logger.info("code of delivery %s refused: wrong, %d left", row.pk[:8], left)
    raise Wrong(left)


def _use(
    row: Delivery, code: str, address: str, mobile: str | None, *, own: bool
) -> tuple[int | None, failed_attempts.Guess]:
    """Count a guess, then look at it: None if it is right, else the tries that are left. Runs in a transaction.

    Raises Expired, and what guesses.begin raises; then the guess is not counted, and was not looked at.
    """
    # The row is the referee: of 64 guesses at once five pass here, and of two tabs with the right code one does.
    count = delivery.count_guess(row, most=settings.SMS_MAX_TRIES)
    if count is None:
        raise Expired
    guess = failed_attempts.begin("code", row.mobile, address, own=own)
    # Nobody has the code of a decoy: who has guessed it has guessed.
    if not row.decoy and row.is_code(code) and mobile in {None, row.mobile}:
        delivery.mark_used(row)
        guess.was_right()
        return None, guess
    return settings.SMS_MAX_TRIES - count, guess


def _challenge(purpose: str, browser: str) -> str:
    """Return the key under which a browser's open challenge lies. Another purpose or browser does not find it."""
    return f"challenge:{purpose}:{browser}"


def _close(challenge: str, delivery_id: str) -> None:
    """Forget an open code, unless the browser has a newer one. Never raises: the row says that it is used or burned."""
    try:
        redis.delete_if(challenge, delivery_id)
    except redis.Unavailable as error:
        logger.warning("challenge of %s not closed: %s", delivery_id[:8], type(error).__name__)


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


class _Request:
    """One question to Redis: may this be sent?"""

    def __init__(
        self, delivery_id: str, mobile: str, purpose: str, browser: str, address: str, *, proven: bool, own: bool
    ) -> None:
        self.delivery_id, self.mobile = delivery_id, mobile
        self.counters = limits.counters(mobile=mobile, address=address, browser=browser, own=own)
        bell = settings.HUEY.queue_entry(send_sms_code.s(delivery_id))
        # Whether Redis rings: the queue is there.
        self.rings = bell is not None
        queue, entry = bell or ("", b"")
        channel, message = published(delivery.group(browser), delivery.ACCEPTED)
        self.names = [
            cooldown.key(mobile),
            _challenge(purpose, browser),
            limits.WARM,
            queue,
            *(counter.key for counter in self.counters),
        ]
        self.values: list[str | int | bytes] = [
            delivery_id,
            settings.SMS_COOLDOWN * 1000,
            settings.SMS_CODE_TTL * 1000,
            int(settings.ALTCHA != "off" and not proven),
            int(settings.SMS_LIMITS_RECORD_ONLY),
            entry,
            channel,
            message,
        ]
        for counter in self.counters:
            near = 0 if settings.ALTCHA == "always" else counter.near
            self.values += [counter.most, counter.life_seconds * 1000, near]

    def take_back(self) -> None:
        """Open the gate and count the request no more, if it was let in: nothing is promised. Never raises."""
        try:
            with redis.client().pipeline(transaction=False) as pipe:
                pipe.eval(redis.DELETE_IF, 1, cooldown.key(self.mobile), self.delivery_id)
                for counter in self.counters:
                    pipe.zrem(counter.key, self.delivery_id)
                pipe.execute()
        except redis.Unavailable as error:
            logger.warning("delivery %s still counts: redis %s", self.delivery_id[:8], type(error).__name__)

    def decide(self) -> tuple[str, int, str]:
        """Return `ok`, `cooldown`, `limit` or `proof`, the milliseconds left, and whose cooldown or which limit it is.

        Raises redis.Unavailable.
        """
        client = redis.client()
        try:
            said = _run(client, ISSUE, self.names, self.values)
        except redis.Lost:
            # The answer may be lost although the gate is ours. Asked again with the same id, the script says so.
            said = _run(client, ISSUE, self.names, self.values)
        if said[0] == "cold":
            limits.count_anew(client)
            said = _run(client, ISSUE, self.names, self.values)
        if said[0] == "cold":
            raise redis.Unavailable("the counters do not stay")
        return said


def _run(client: Redis, script: str, names: list[str], values: list[str | int | bytes]) -> tuple[str, int, str]:
    """Run a script in one round trip and return its word, its number, and the id that it names, if it names one."""
    word, number, *more = cast("list[Any]", client.register_script(script)(keys=names, args=values))
    return word.decode(), int(number), more[0].decode() if more else ""


def _ring(delivery_id: str) -> None:
    """Ring the queue's bell. Whether it was heard does not matter: a sweeper rings again for a row nobody came for."""
    try:
        send_sms_code(delivery_id)
    except Exception as error:  # noqa: BLE001  (a broker may raise what it likes; the request is accepted already)
        logger.warning("delivery %s is not rung for: %s", delivery_id[:8], type(error).__name__)
