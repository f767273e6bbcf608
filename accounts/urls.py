"""The addresses of signing in and out."""

from __future__ import annotations

from django.urls import path

from accounts import views

urlpatterns = [
    path("login/", views.login, name="login"),
    path("login/code/", views.login_code, name="login_code"),
    path("code/", views.code, name="code"),
    path("logout/", views.logout, name="logout"),
    path("state/", views.state, name="state"),
]
