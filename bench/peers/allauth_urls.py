"""django-allauth's own addresses, and the one that says that the server is there."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import include, path


def healthz(request: HttpRequest) -> HttpResponse:
    """Say that the process answers."""
    return HttpResponse()


urlpatterns = [path("accounts/", include("allauth.urls")), path("healthz", healthz)]
