"""The app of who you are."""

from __future__ import annotations

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Accounts, sign-in, and the socket that keeps the page true."""

    name = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the daily upkeep with Huey, and what is to be done when a user signs in or is changed."""
        from accounts import periodic, signals  # noqa: F401
        from accounts.live import revocation  # noqa: F401
        from accounts.passwords import reauthentication  # noqa: F401
