"""The addresses of a site to look at: all of Latchkey's, and those where each error page can be had for the asking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import Http404, HttpResponse
from django.template.loader import render_to_string
from django.urls import path
from django.views import defaults

from accounts import responses, views
from accounts.passwords import reauthentication
from project.urls import handler400, urlpatterns

if TYPE_CHECKING:
    from project.web.http import Request

__all__ = ["handler400", "urlpatterns"]


def error(request: Request, name: str) -> HttpResponse:
    """Answer as the site does when that has happened; under DEBUG Django would show pages of its own."""
    match name:
        case "400":
            return responses.unreadable(request)
        case "403":
            return defaults.permission_denied(request, Exception())
        case "403_csrf":
            return views.csrf_failure(request)
        case "404":
            return defaults.page_not_found(request, Http404())
        case "500":
            return defaults.server_error(request)
        case "503":
            return responses.away(request)
    # The proxy's: docs/operators.md.
    return HttpResponse(render_to_string(f"{name}.html"), status=429)


def grow_old(request: Request) -> HttpResponse:
    """Let the visitor's sign-in be longer ago than a password may be set."""
    request.session.pop(reauthentication.KEY, None)
    return HttpResponse()


urlpatterns += [path("error/<str:name>/", error), path("grow-old/", grow_old)]
