"""What every page knows without its view saying so."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from accounts import phone_numbers
from accounts.live.state import SOCKET, State, state_of_request
from accounts.sessions import browser_id

# Pages that show more have a socket of their own; all others share one.
SOCKETS = {"dev_phone": "/ws/dev/phone/", "dev_queue": "/ws/dev/queue/"}


def page(request: HttpRequest) -> dict[str, Any]:
    """Return the context of base.html."""
    return {
        # A template that shows the state calls this, and it is read once. A SimpleLazyObject costs a tenth more a page.
        "state": cache(partial(_state, request)),
        # For an address in full, as those need it who read it elsewhere.
        "origin": settings.PUBLIC_ORIGIN,
        "debug": settings.DEBUG,
        "regions": phone_numbers.regions(),
        "dev_phone": settings.DEV_PHONE,
        "csrf_cookie_name": settings.CSRF_COOKIE_NAME,
        "proof": "submit" if settings.ALTCHA == "always" else "",
    }


def _state(request: HttpRequest) -> State:
    """Return the page's state, and plant the browser's id: a page that is shown is followed by its socket.

    An address that does not exist plants nothing: who tries addresses leaves no rows behind.
    """
    if request.resolver_match is None:
        return state_of_request(request)
    socket = SOCKETS.get(request.resolver_match.url_name or "", SOCKET)
    if browser_id.of(request.session) is None:
        browser_id.plant(request.session)
        # Nobody has asked for anything, or been told to wait, under an id that is a moment old.
        return State(socket=socket)
    return state_of_request(request, socket=socket)
