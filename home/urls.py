"""The address of the index page."""

from __future__ import annotations

from django.urls import path

from home import views

urlpatterns = [path("", views.index, name="home")]
