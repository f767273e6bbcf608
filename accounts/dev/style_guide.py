"""The style page: every component in every state, from the site's own templates, for whoever changes the look."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.live.state import State
from accounts.messages import Notice, errmsg

COLOURS = (
    *("paper", "card", "sunk", "chosen", "glow", "line", "edge", "soft", "ink"),
    *("blue", "green", "amber", "red", "green-wash", "red-wash", "plate"),
)
SIZES = ("text-1", "text-2", "text-3", "text-4", "text-6", "text-8")
SPACES = tuple(f"space-{n}" for n in range(1, 9))
CORNERS = ("round-1", "round-2", "round-3", "lift")

MOBILE = "138 **** 8000"
# What a name may be at most, and in the widest of letters.
LONG_NAME = "WWWWWWWWWWWWWWWWWWWW"


@dataclass(frozen=True, slots=True)
class Sample:
    """A leaf as it is in one case. The prefix keeps its ids apart from those of the page's own leaves."""

    name: str
    state: State
    prefix: str


def _samples(*cases: tuple[str, State], kind: str) -> list[Sample]:
    numbers = count(1)
    return [Sample(name, state, f"{kind}-{next(numbers)}-") for name, state in cases]


def _delivery(name: str, state: str, attempt: int = 1, **more: Any) -> tuple[str, State]:
    return name, State(delivery=state, attempt=attempt, mobile=MOBILE, **more)


def deliveries() -> list[Sample]:
    """Return a delivery in every state, and for every reason that has words of its own."""
    return _samples(
        ("", State()),
        _delivery("queued", "queued", 0),
        _delivery("queued, slow", "queued", 0, pace="slow"),
        _delivery("sending", "sending"),
        _delivery("sending, route", "sending", 2, route=2, reason="route"),
        _delivery("retrying", "retrying", 2),
        _delivery("retrying, slow", "retrying", 3, pace="slow"),
        _delivery("retrying, route", "retrying", 2, route=2, reason="route"),
        _delivery("sent", "sent"),
        _delivery("sent, usual", "sent", pace="usual", usual=6, minutes=5),
        _delivery("sent, slow", "sent", 2, route=2, pace="slow", usual=6, minutes=1),
        _delivery("delivered", "delivered"),
        _delivery("failed", "failed", 4),
        _delivery("failed, number", "failed", reason="number"),
        _delivery("failed, wait", "failed", reason="wait"),
        _delivery("failed, operator", "failed", reason="operator"),
        _delivery("unknown", "unknown"),
        _delivery("expired", "expired", 0),
        _delivery("expired, sent", "expired", reason="sent"),
        _delivery("expired, guessed", "expired", reason="guessed"),
        _delivery("superseded", "superseded", 0),
        kind="delivery",
    )


@never_cache
@require_safe
def style(request: HttpRequest) -> HttpResponse:
    """Show them all. There is no such page unless this is somebody's own machine."""
    if not settings.DEBUG:
        raise Http404
    context = {
        "colours": COLOURS,
        "sizes": SIZES,
        "spaces": SPACES,
        "corners": CORNERS,
        "deliveries": deliveries(),
        "accounts": _samples(
            ("in", State(username="lihua_88")),
            ("in, long", State(username=LONG_NAME)),
            ("out", State()),
            kind="account",
        ),
        "countdowns": _samples(*((str(seconds), State(wait=seconds)) for seconds in (60, 9, 0)), kind="countdown"),
        "connections": _samples(
            *((word, State(connection=word)) for word in ("connecting", "live", "offline")), kind="connection"
        ),
        "strip": Sample("strip", State(delivery="retrying", attempt=2, mobile=MOBILE, wait=55), "strip-"),
        "error": Notice(errmsg("SMS_CODE_WRONG", tries_left=4)),
        "calm": Notice(errmsg("PROOF_NEEDED"), calm=True),
    }
    return render(request, "dev/style.html", context)
