"""The home page."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Show what this site is, with a link to sign in; or redirect to where HOME_PAGE says."""
    if settings.HOME_PAGE != "page":
        return redirect(settings.HOME_PAGE)
    return render(request, "home/index.html")
