"""A request as a view receives it."""

from __future__ import annotations

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails


class Request(HttpRequest):
    """Django's request with the attributes that middleware adds. For annotations; no request is made of it."""

    # From django_htmx.middleware.HtmxMiddleware: false unless htmx sent the request.
    htmx: HtmxDetails
    # From csp.middleware.CSPMiddleware: read it, and the answer's policy allows scripts with this nonce.
    csp_nonce: str
