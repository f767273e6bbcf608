"""A page for the one error that Django answers with an empty body: 405, method not allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpResponseNotAllowed
from django.template.loader import render_to_string

from project.web.http import prefers_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse


def explain(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Add a page to a 405 for visitors who open the URL of a form. Programs and htmx get the status alone."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        is_empty = isinstance(response, HttpResponseNotAllowed) and not response.content
        if is_empty and not prefers_json(request) and request.headers.get("HX-Request") != "true":
            response.content = render_to_string("405.html").encode()
        return response

    return middleware
