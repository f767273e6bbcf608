"""The addresses of signing in and out."""

from __future__ import annotations

from django.urls import path

from accounts import password_views, proof_views, style, views

urlpatterns = [
    path("login/", views.login, name="login"),
    path("login/code/", views.login_code, name="login_code"),
    path("code/", views.code, name="code"),
    path("code/withdraw/", views.withdraw, name="withdraw"),
    path("logout/", views.logout, name="logout"),
    path("password/", password_views.password, name="password"),
    path("state/", views.state, name="state"),
    path("proof/", proof_views.challenge, name="proof"),
    path("dev/style/", style.style, name="dev_style"),
]
