"""The admin behind the site's own doors: one login with one set of limits, one logout, one page for passwords."""

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
from project.web.http import Request


class Site(AdminSite):
    """Django's admin, which is on only where `ADMIN` says so (T-89)."""

    @method_decorator(never_cache)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Send a visitor to our own login and back. Raises PermissionDenied for who is in and is not staff.

        To the login page once more would be a circle: it would send them here again.
        """
        index = reverse("admin:index", current_app=self.name)
        if self.has_permission(request):
            return HttpResponseRedirect(index)
        if request.user.is_authenticated:
            raise PermissionDenied
        # Looked at when it is used: our login leads to pages of this site alone (T-47).
        return redirect_to_login(request.GET.get(REDIRECT_FIELD_NAME) or index)

    def logout(  # type: ignore[override]
        self, request: Request, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Sign out as everywhere: the other tabs are told, and the browser forgets what it has."""
        return views.logout(request)

    def password_change(  # type: ignore[override]
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Send staff to the page that counts wrong passwords."""
        return redirect("password")
