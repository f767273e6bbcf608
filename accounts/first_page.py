"""The sign-in page of somebody who comes for the first time: it says the same to all of them, so it is made once.

Two such pages of one language differ in the policy's nonce and in the forms' token, and in nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.utils.translation import get_language

from accounts.codes import cooldown_cookie
from accounts.sessions import browser_id

TOKEN = re.compile(rb'name="csrfmiddlewaretoken" value="(\w{64})"')
# In place of the nonce and the token. No page has these bytes: they are no UTF-8.
NONCES, TOKENS = b"\xff", b"\xfe"

_pages: dict[str, bytes] = {}


def first_page(request: HttpRequest, made: Callable[[], HttpResponse]) -> HttpResponse:
    """Return the page that `made` makes, from what it made before if this visitor can be told nothing of their own."""
    # A developer changes templates. And whoever asks for more than the plain address gets it.
    if settings.DEBUG or request.META["QUERY_STRING"] or _is_known(request):
        return made()
    language = get_language() or settings.LANGUAGE_CODE
    if language not in _pages:
        response = made()
        token = TOKEN.search(response.content)
        if response.status_code == 200 and token:
            kept = response.content.replace(request.csp_nonce.encode(), NONCES)  # type: ignore[attr-defined]
            _pages[language] = kept.replace(token[1], TOKENS)
        return response
    # Of which the page's socket will be.
    browser_id.plant(request.session)
    page = _pages[language].replace(NONCES, request.csp_nonce.encode())  # type: ignore[attr-defined]
    return HttpResponse(page.replace(TOKENS, get_token(request).encode()))


def _is_known(request: HttpRequest) -> bool:
    """Tell whether there is anything about this visitor that a page could show."""
    return settings.SESSION_COOKIE_NAME in request.COOKIES or cooldown_cookie.COOKIE in request.COOKIES
