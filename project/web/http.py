"""A request as a view receives it, and what its client prefers."""

from __future__ import annotations

from django.http import HttpRequest
from django.http.request import MediaType
from django_htmx.middleware import HtmxDetails


class Request(HttpRequest):
    """Django's request with the attributes that middleware adds. For annotations; no request is made of it."""

    # From django_htmx.middleware.HtmxMiddleware: false unless htmx sent the request.
    htmx: HtmxDetails
    # From csp.middleware.CSPMiddleware: read it, and the answer's policy allows scripts with this nonce.
    csp_nonce: str


def prefers_json(request: HttpRequest) -> bool:
    """Tell whether the Accept header prefers JSON to HTML, by RFC 9110, 12.5.1; if it wants neither, it does not.

    Of the header's types that match, the most specific gives the quality. `HttpRequest.get_preferred_type` finds no
    `application/json` in `application/json; charset=utf-8`, and forgets what the client refuses with `;q=0`.
    """
    asked = [MediaType(token) for token in request.headers.get("Accept", "*/*").split(",") if token.strip()]
    json, html = _preference(asked, "application", "json"), _preference(asked, "text", "html")
    return json[0] > 0 and json > html


def _preference(asked: list[MediaType], main: str, sub: str) -> tuple[float, int, int]:
    """Return how much a type is wanted: its quality, then how precisely it is named, then how early."""
    found = [
        (-kind.specificity, place, kind)
        for place, kind in enumerate(asked)
        if (kind.main_type.strip().lower(), kind.sub_type.strip().lower()) in {(main, sub), (main, "*"), ("*", "*")}
    ]
    if not found:
        return (0, 0, 0)
    specificity, place, kind = min(found, key=lambda one: one[:2])
    return (kind.quality, min(-specificity, 2), -place)
