"""The URLs of the site, by the app that answers."""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from project.web import branding

# Django's own view reads the form for its token. It fails when the body is what could not be read.
handler400 = "accounts.responses.unreadable"

urlpatterns = [
    path("", include("home.urls")),
    path("", include("accounts.urls")),
    path("", include("tasks.urls")),
    path("favicon.ico", branding.favicon),
    path("apple-touch-icon.png", branding.touch_icon),
    path("i18n/", include("django.conf.urls.i18n")),
]
if settings.ADMIN:
    urlpatterns.append(path("admin/", admin.site.urls))
