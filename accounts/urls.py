"""The addresses of signing in and out."""

from __future__ import annotations

from django.urls import path
from django.views.generic import RedirectView

from accounts import password_views, proof_views, style, views

urlpatterns = [
    path("login/", views.login, name="login"),
    path("login/code/", views.login_code, name="login_code"),
    path("code/", views.code, name="code"),
    path("code/withdraw/", views.withdraw, name="withdraw"),
    path("logout/", views.logout, name="logout"),
    # Where a password manager looks for the page (W3C, A Well-Known URL for Changing Passwords).
    path(".well-known/change-password", RedirectView.as_view(pattern_name="password"), name="change_password"),
    path("password/", password_views.password, name="password"),
    path("state/", views.state, name="state"),
    path("proof/", proof_views.challenge, name="proof"),
    path("dev/style/", style.style, name="dev_style"),
]
