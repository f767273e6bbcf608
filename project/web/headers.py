"""The login's own answers get the login's headers. Those of a site's own views say what they want to say.

First of all middleware, so that it sees every answer of Django's: files, refusals and broken middleware too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.urls import URLPattern, URLResolver

from project import headers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

# Kept by browsers, so that "back" is instant, and asked for again whenever it is opened.
KEPT_BY_BROWSERS = "no-cache, private"
# The views behind the login's own URLs. By identity: a view need not be hashable.
_own: dict[int, Any] = {}


def own(patterns: Iterable[URLPattern | URLResolver]) -> None:
    """Note the views of these patterns as the login's own."""
    _own.update((id(view), view) for view in _views(patterns))


def shows(request: HttpRequest, *, person: bool) -> None:
    """Note whether the page that answers a request shows a person: a name, or a number that gets a code."""
    request.shows_person = person  # type: ignore[attr-defined]


def complete(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Add the headers that an answer lacks."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        match = request.resolver_match
        if match is None or id(match.func) in _own:
            added = headers.missing(
                response.headers, status=response.status_code, cache_control=_cache_control(request, response)
            )
        else:
            added = _of_site(request, response)
        for name, value in added.items():
            response.headers[name] = value
        return response

    return middleware


def _cache_control(request: HttpRequest, response: HttpResponseBase) -> str:
    """Return what an answer of the login's own says to caches, unless it says something itself."""
    is_page = request.method in {"GET", "HEAD"} and response.status_code == 200
    return KEPT_BY_BROWSERS if is_page and not getattr(request, "shows_person", True) else headers.NO_STORE


def _of_site(request: HttpRequest, response: HttpResponseBase) -> dict[str, str]:
    """Return what a site's own answer lacks: no cache may give one visitor's page to another (T-90)."""
    if response.has_header("Cache-Control"):
        return {}
    if getattr(request, "shows_person", False):
        return {"Cache-Control": headers.NO_STORE}
    user = getattr(request, "user", None)
    return {"Cache-Control": "private"} if user is not None and user.is_authenticated else {}


def _views(patterns: Iterable[URLPattern | URLResolver]) -> Iterator[Any]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _views(pattern.url_patterns)
        else:
            yield pattern.callback
