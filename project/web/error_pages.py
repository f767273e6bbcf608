"""Words for an answer that Django gives without any: to a method that an address does not take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpResponseNotAllowed
from django.template.loader import render_to_string

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse


def explain(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Give whoever opens the address of a form a page. A program and a page's script have the status."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if isinstance(response, HttpResponseNotAllowed) and not response.content:
            wanted = request.get_preferred_type(["text/html", "application/json"])
            if wanted == "text/html" and request.headers.get("HX-Request") != "true":
                response.content = render_to_string("405.html").encode()
        return response

    return middleware
