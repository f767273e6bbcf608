"""The context that every page has."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import get_language, get_language_info, ngettext

from accounts.live import render
from accounts.live.state import SOCKET, State, browser_of_request, state_of_request
from accounts.sessions import browser_id, ended_visitor
from project import site_apps
from project.web import headers

# The sockets of pages that show more than the shared one, by URL name. A site's own: project/site_apps.py.
SOCKETS = {"dev_phone": "/ws/dev/phone/", "dev_queue": "/ws/dev/queue/"}


def page(request: HttpRequest) -> dict[str, Any]:
    """Return the context of base.html."""
    return {
        # A template that shows the state calls this, and it is read once. A SimpleLazyObject costs a tenth more a page.
        "state": cache(partial(_state, request)),
        # For absolute URLs, which search engines and link previews need.
        "origin": settings.PUBLIC_ORIGIN,
        "debug": settings.DEBUG,
        "dev_phone": settings.DEV_PHONE,
        "csrf_cookie_name": settings.CSRF_COOKIE_NAME,
        "proof": "submit" if settings.ALTCHA == "always" else "",
        "languages": _languages(),
        # Called by the templates that show it.
        "keep_signed_in": _keep_signed_in,
        # Parts that are the same for all who have done nothing yet.
        "no_delivery": partial(_at_first, "live.html#delivery"),
        "connecting": partial(_at_first, "live.html#connection"),
        "consent": partial(_at_first, "accounts/consent.html"),
        # For the leaves (live.html). A variable that is missing costs a template four exceptions each time.
        "prefix": "",
        "oob": False,
        "oob_life": False,
    }


def _at_first(name: str) -> str:
    return render.at_first(name, get_language() or settings.LANGUAGE_CODE)


@cache
def _languages() -> list[tuple[str, str]]:
    """Return the site's languages, each with its name in itself."""
    return [(code, get_language_info(code)["name_local"]) for code, _ in settings.LANGUAGES]


def _keep_signed_in() -> str:
    """Return the words beside the tick that keeps a sign-in."""
    days = settings.REMEMBERED_DAYS
    words = ngettext("Keep me signed in for %(days)d day", "Keep me signed in for %(days)d days", days)
    return words % {"days": days}


def _state(request: HttpRequest) -> State:
    """Return the state, and note whether it shows a person, which decides whether a browser may keep the page."""
    state = _planted_state(request)
    headers.shows(request, person=bool(state.username or state.delivery or state.wait))
    return state


def _planted_state(request: HttpRequest) -> State:
    """Return the state, and give the session a browser id, which the socket of the page needs.

    A page for an unknown URL gives none, so that a scanner of URLs leaves no sessions behind.
    """
    if request.resolver_match is None:
        return state_of_request(request)
    name = request.resolver_match.url_name or ""
    socket = SOCKETS.get(name) or site_apps.sockets().get(name, SOCKET)
    if browser_id.of(request.session) is None:
        browser_of_request(request)
        if not ended_visitor(request):
            # A new browser id has no delivery and no cooldown.
            return State(socket=socket)
    return state_of_request(request, socket=socket)
