"""The addresses of signing in and out."""

from __future__ import annotations

from django.urls import path
from django.views.generic import RedirectView

from accounts import views
from accounts.dev import style_guide
from accounts.dev.reset_limits import reset_limits
from accounts.passwords.views import password
from accounts.throttling.views import challenge

urlpatterns = [
    path("login/", views.login, name="login"),
    path("login/code/", views.login_code, name="login_code"),
    path("code/", views.code, name="code"),
    path("code/check/", views.check, name="check"),
    path("code/withdraw/", views.withdraw, name="withdraw"),
    path("logout/", views.logout, name="logout"),
    # Where a password manager looks for the page (W3C, A Well-Known URL for Changing Passwords).
    path(".well-known/change-password", RedirectView.as_view(pattern_name="password"), name="change_password"),
    path("password/", password, name="password"),
    path("state/", views.state, name="state"),
    path("proof/", challenge, name="proof"),
    path("dev/phone/limits/", reset_limits, name="reset_limits"),
    path("dev/style/", style_guide.style, name="dev_style"),
]
