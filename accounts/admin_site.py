"""Django's admin with the site's own login, logout and password page, so that one set of limits holds for all."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

from accounts import views
from project.web.branding import current as get_branding
from project.web.http import Request


class Site(AdminSite):
    """Django's admin, which is on only with `ADMIN=1` (T-89)."""

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Return what every page of the admin shows, under the site's own name if it has one."""
        context = super().each_context(request)
        branding = get_branding()
        if branding.is_own:
            context |= {"site_title": branding.name, "site_header": branding.name}
        return context | {"site_url": branding.home}

    @method_decorator(never_cache)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Redirect to the site's login and back. Raises PermissionDenied for a signed-in user who is not staff.

        Redirecting such a user to the login would be a loop.
        """
        index = reverse("admin:index", current_app=self.name)
        if self.has_permission(request):
            return HttpResponseRedirect(index)
        if request.user.is_authenticated:
            raise PermissionDenied
        # The login checks `next` when it uses it: it redirects within this site only (T-47).
        return redirect_to_login(request.GET.get(REDIRECT_FIELD_NAME) or index)

    def logout(  # type: ignore[override]
        self, request: Request, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Sign out as the site does, which updates the other tabs and deletes the cookies."""
        return views.logout(request)

    def password_change(  # type: ignore[override]
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Redirect to the site's page, which limits failed attempts."""
        return redirect("password")
