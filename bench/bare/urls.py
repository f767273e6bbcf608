"""One page, and the address that says that the server is there."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.generic import TemplateView


def healthz(request: HttpRequest) -> HttpResponse:
    """Say that the process answers."""
    return HttpResponse()


urlpatterns = [
    path("login/", TemplateView.as_view(template_name="page.html")),
    path("healthz", healthz),
]
