"""What a page shows, read from the rows: the state of one browser, and who is behind its session."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from accounts.codes import cooldown_cookie, repetition
from accounts.models import User
from accounts.phone_numbers import masked
from accounts.sessions import SessionStore, browser_id, ended_visitor, has_ended, visitor
from tasks import delivery
from tasks.delivery import delivery_times
from tasks.models import Delivery
from tasks.models import State as DeliveryState

if TYPE_CHECKING:
    from datetime import datetime

SOCKET = "/ws/"
SESSION_CHANGED = "session.changed"
# With `seconds`: the wait for a number of which no row of this browser tells; 0, it waits no more.
WAIT_CHANGED = "wait.changed"
# The group of all open pages, where there is a dev phone, whose button resets what any of them waits for.
EVERY_PAGE = "pages"
# Why a code that was sent no longer works: its life is over, or too many wrong ones were entered.
SENT, GUESSED = "sent", "guessed"
# The states in which the visitor has a code, or may get it any moment.
CODE_SENT = frozenset({DeliveryState.SENT, DeliveryState.DELIVERED, DeliveryState.UNKNOWN})
# No code will come, or it works no more.
ENDED = frozenset({DeliveryState.FAILED, DeliveryState.EXPIRED, DeliveryState.SUPERSEDED})
# Handing a message over takes longer than usual from here on.
SEND_SECONDS = 5.0
# For so long after the end of a code its page says what became of it.
REMEMBERED = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class State:
    """What one browser may know about itself."""

    # Empty when signed out.
    username: str = ""
    # A delivery's state, empty when this browser has asked for nothing yet.
    delivery: str = ""
    attempt: int = 0
    # Masked.
    mobile: str = ""
    # Why it failed: a tasks.gateways.Reason. Why it expired: SENT or GUESSED, empty when it was never sent.
    reason: str = ""
    # Which carrier of the chain has it, counted from 1.
    route: int = 1
    # How it gets on: `usual`, `slow`, empty when that cannot be said.
    pace: str = ""
    # Once it is sent: seconds that it usually takes from there to the handset, 0 when nobody knows.
    usual: int = 0
    # Minutes that the code still lives, rounded up; 0 when it is dead, or was never sent.
    minutes: int = 0
    # Seconds until some of these words change without an event, 0 for never.
    changes_in: float = 0.0
    # Seconds until another code may be asked for.
    wait: float = 0.0
    connection: str = "connecting"
    socket: str = SOCKET
    resend_at: datetime | None = None
    expires_at: datetime | None = None

    @property
    def seconds(self) -> int:
        """The countdown as it is shown."""
        return math.ceil(self.wait)

    def waiting(self, seconds: float) -> State:
        """Return this state with a countdown of at least so long: another browser may have asked for the number."""
        return replace(self, wait=max(self.wait, seconds))

    @property
    def step(self) -> str:
        """The step of the sign-in page: `start`, a number is asked for; `code`, its code; `end`, there will be none."""
        if not self.delivery:
            return "start"
        return "end" if self.delivery in ENDED else "code"

    @property
    def unfinished(self) -> bool:
        """Whether more is to come without anybody asking."""
        return self.delivery in delivery.UNFINISHED

    def as_json(self) -> dict[str, Any]:
        """Return the state for a program; what does not apply is left out."""
        state: dict[str, Any] = {"state": self.delivery or None, "attempt": self.attempt, "seconds": self.seconds}
        if self.resend_at and self.expires_at:
            state |= {"resend_at": self.resend_at.isoformat(), "expires_at": self.expires_at.isoformat()}
        return state


def state_of_row(
    row: Delivery | None, *, username: str = "", socket: str = SOCKET, connection: str = "connecting"
) -> State:
    """Return the state that a delivery's row tells. `row.now`, the database's time, is used where it was read along."""
    nothing = State(username=username, socket=socket, connection=connection)
    if row is None:
        return nothing
    now = getattr(row, "now", row.created_at)
    if not _is_shown(row, now):
        return nothing
    state, reason = _delivery(row, now)
    pace, usual, slow_in = _pace(row, now) if state == row.state else ("", 0, 0.0)
    left = (row.created_at + delivery.code_life() - now).total_seconds() if state in CODE_SENT else 0.0
    minutes = math.ceil(left / 60)
    # The next whole minute, and the end of the last one.
    moments = [slow_in, left - 60 * (minutes - 1) if minutes else 0.0]
    return State(
        username=username,
        delivery=state,
        # While it waits for another attempt, that is the one it is about.
        attempt=row.attempts + (row.state == DeliveryState.RETRYING),
        mobile=masked(row.mobile) if state else "",
        reason=reason,
        route=row.route + 1,
        pace=pace,
        usual=usual,
        minutes=minutes,
        changes_in=min((moment for moment in moments if moment > 0), default=0.0),
        wait=max(0.0, (row.resend_at - now).total_seconds()),
        connection=connection,
        socket=socket,
        resend_at=row.resend_at,
        expires_at=row.created_at + delivery.code_life(),
    )


def _is_shown(row: Delivery, now: datetime) -> bool:
    """Tell whether pages show a delivery: not one that was withdrawn, nor one that is long over."""
    is_over = row.state not in delivery.UNFINISHED and now - row.created_at > delivery.code_life() + REMEMBERED
    return row.withdrawn_at is None and not is_over


def _delivery(row: Delivery, now: datetime) -> tuple[str, str]:
    """Return the state of a delivery, and its reason, as far as its code still works."""
    if row.used_at:
        # There is nothing more to tell.
        return "", ""
    if row.state in CODE_SENT:
        if row.guesses >= settings.SMS_MAX_TRIES:
            return DeliveryState.EXPIRED, GUESSED
        if now - row.created_at >= delivery.code_life():
            return DeliveryState.EXPIRED, SENT
    return row.state, "" if row.state == DeliveryState.EXPIRED else row.reason


def _pace(row: Delivery, now: datetime) -> tuple[str, int, float]:
    """Return how a delivery gets on, the usual seconds from sent to delivered, and the seconds until it is slow.

    What is zero is unknown, or does not come to that.
    """
    if row.state in delivery.UNFINISHED:
        left = SEND_SECONDS - (now - row.created_at).total_seconds()
        return ("", 0, left) if left > 0 else ("slow", 0, 0.0)
    usual = delivery_times.seconds(row.gateway) if row.state == DeliveryState.SENT and row.sent_at else None
    if usual is None or row.sent_at is None:
        return "", 0, 0.0
    seconds = max(1, round(usual))
    left = delivery_times.too_long(seconds) - (now - row.sent_at).total_seconds()
    return ("usual", seconds, left) if left > 0 else ("slow", seconds, 0.0)


def browser_of_request(request: HttpRequest) -> str:
    """Return the hash of the browser's id, which is created if there is none.

    A visitor whose session has ended gets another id. The code that ended it goes along while it may be repeated.
    """
    own = browser_id.plant(request.session)
    # Known now that the session is loaded.
    if ended := ended_visitor(request):
        repetition.hand_over(browser_id.hashed(ended), own)
    return own


def state_of_request(request: HttpRequest, *, socket: str = SOCKET) -> State:
    """Return the state of the browser that sent a request."""
    own = browser_id.of(request.session)
    username = request.user.get_username() if request.user.is_authenticated else ""
    state = state_of_row(delivery.latest(own) if own else None, username=username, socket=socket)
    return state.waiting(cooldown_cookie.left(request.COOKIES, own))


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who is behind a session that is alive."""

    # The keyed hash of the browser's id.
    browser: str
    user: User | None

    @property
    def username(self) -> str:
        """Empty when signed out."""
        return self.user.username if self.user else ""


def visitor_in_key(key: str) -> Visitor | None:
    """Return the visitor whom the key of a session without a row names, ended or not, without asking the database."""
    planted = visitor(key)
    return Visitor(browser_id.hashed(planted), None) if planted else None


def visitor_of_session(key: str) -> Visitor | None:
    """Return who a session belongs to now, None if it has ended: logged out, expired, deactivated, password changed.

    It only reads. Channels' own look-up ends a session signed with a former SECRET_KEY, and a handshake
    cannot hand out the new cookie that Django's would need.
    """
    if named := visitor_in_key(key):
        return None if has_ended(key) else named
    data = SessionStore(key).load()
    planted = data.get(browser_id.KEY)
    if not isinstance(planted, str):
        return None
    own = browser_id.hashed(planted)
    if SESSION_KEY not in data:
        return Visitor(own, None)
    user = User.objects.filter(pk=data[SESSION_KEY], is_active=True).first()
    if user is None:
        return None
    proof = data.get(HASH_SESSION_KEY, "")
    valid = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return Visitor(own, user) if any(constant_time_compare(proof, right) for right in valid) else None
