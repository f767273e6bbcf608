"""The URL of the home page."""

from __future__ import annotations

from django.urls import path

from home import views

urlpatterns = [path("", views.index, name="home")]
