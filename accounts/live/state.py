"""What a page shows, read from the rows: the state of one browser, and who is behind its session."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from accounts.codes import cooldown_cookie, repetition
from accounts.models import User
from accounts.phone_numbers import masked
from accounts.sessions import SessionStore, browser_id, ended_visitor, has_ended, visitor
from tasks import delivery
from tasks.delivery import MAX_ATTEMPTS, delivery_times
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


@dataclass(frozen=True, slots=True)
class State:
    """What one browser may know about itself."""

    # Empty when signed out.
    username: str = ""
    # A delivery's state, empty when this browser has asked for nothing yet.
    delivery: str = ""
    attempt: int = 0
    max_attempts: int = MAX_ATTEMPTS
    # Whole seconds to the next attempt.
    retry_in: int = 0
    # Masked.
    mobile: str = ""
    # Why it failed: a tasks.gateways.Reason.
    reason: str = ""
    # Which carrier of the chain has it, counted from 1.
    route: int = 1
    # Once it is sent: seconds that it usually takes from there to the handset, 0 when nobody knows; seconds since.
    usual: int = 0
    waited: int = 0
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
    def unfinished(self) -> bool:
        """Whether more is to come without anybody asking."""
        return self.delivery in delivery.UNFINISHED

    @property
    def pace(self) -> str:
        """How a message that was sent does: `usual`, `slow`, empty when that cannot be said."""
        if not self.usual:
            return ""
        return "slow" if self.waited >= delivery_times.too_long(self.usual) else "usual"

    @property
    def slow_in(self) -> float:
        """Seconds until it counts as slow, 0 when it does not come to that."""
        return delivery_times.too_long(self.usual) - self.waited if self.pace == "usual" else 0.0

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
    if row is None or row.withdrawn_at:
        return State(username=username, socket=socket, connection=connection)
    now = getattr(row, "now", row.created_at)
    retrying = row.state == DeliveryState.RETRYING
    usually, waited = _under_way(row, now)
    return State(
        username=username,
        # Once its code is used, there is nothing more to tell.
        delivery="" if row.used_at else row.state,
        # While it waits for another attempt, that is the one it is about: "attempt 2 of 4, next in 5 s".
        attempt=row.attempts + retrying,
        retry_in=max(0, math.ceil((row.due_at - now).total_seconds())) if retrying else 0,
        mobile=masked(row.mobile),
        reason=row.reason,
        route=row.route + 1,
        usual=usually,
        waited=waited,
        wait=max(0.0, (row.resend_at - now).total_seconds()),
        connection=connection,
        socket=socket,
        resend_at=row.resend_at,
        expires_at=row.created_at + delivery.code_life(),
    )


def _under_way(row: Delivery, now: datetime) -> tuple[int, int]:
    """Return how many seconds a message usually takes from sent to delivered, 0 for unknown, and has taken so far."""
    if row.state != DeliveryState.SENT or row.sent_at is None or now - row.created_at > delivery.code_life():
        return 0, 0
    seconds = delivery_times.seconds(row.gateway)
    if seconds is None:
        return 0, 0
    return max(1, round(seconds)), max(0, round((now - row.sent_at).total_seconds()))


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
