"""The app of who you are."""

from __future__ import annotations

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Accounts, sign-in, and the socket that keeps the page true."""

    name = "accounts"
    default_auto_field = "django.db.models.BigAutoField"
