"""The URLs of the site, by the app that answers."""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from project import site_apps
from project.web import branding, headers

# Django's own view reads the form for its token. It fails when the body is what could not be read.
handler400 = "accounts.responses.unreadable"

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("home.urls")),
    path("", include("accounts.urls")),
    path("", include("tasks.urls")),
    path("favicon.ico", branding.favicon),
    path("apple-touch-icon.png", branding.touch_icon),
    path("i18n/", include("django.conf.urls.i18n")),
]
if settings.ADMIN:
    urlpatterns.append(path("admin/", admin.site.urls))
# What comes behind this line is the site's: its answers have no headers but their own.
headers.own(urlpatterns)
urlpatterns += site_apps.urlpatterns()
