"""Views of a site's own: one that says nothing, one that wants much, pages with and without a person, and an upload."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from csp.decorators import csp_exempt
from django.http import HttpResponse, JsonResponse
from django.template import engines
from django.urls import path
from django.views.decorators.cache import cache_control
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import TemplateView

from project.urls import handler400, urlpatterns

if TYPE_CHECKING:
    from django.http import HttpRequest

__all__ = ["handler400", "urlpatterns"]


def bare(_request: HttpRequest) -> HttpResponse:
    """Answer without a word about caches."""
    return HttpResponse("bare")


@csp_exempt()
@xframe_options_exempt
def embedded(_request: HttpRequest) -> HttpResponse:
    """Answer what other sites may show in a frame, with a camera in it."""
    return HttpResponse("embedded", headers={"Permissions-Policy": "camera=(self)"})


def person(request: HttpRequest) -> HttpResponse:
    """Show the header, and who is signed in in it."""
    return HttpResponse(engines["django"].from_string('{% extends "base.html" %}').render({}, request))


@csrf_exempt
def upload(request: HttpRequest) -> HttpResponse:
    """Take a file or a body, and say what came."""
    file = request.FILES.get("file")
    whole = file.read() if file else request.body
    return JsonResponse({"size": len(whole), "hash": hashlib.sha256(whole).hexdigest()})


urlpatterns += [
    path("bare/", bare),
    path("embedded/", embedded),
    path("person/", person),
    path("kept/", cache_control(public=True, max_age=60)(person)),
    path("template/", TemplateView.as_view(template_name="away.html")),
    path("upload/", upload),
    path("elsewhere/", upload),
]
