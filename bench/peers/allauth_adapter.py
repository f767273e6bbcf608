"""What django-allauth asks a site to bring: where numbers are kept, and how an SMS leaves."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.contrib.auth.models import User

from bench.peers.tasks import send_sms


class Adapter(DefaultAccountAdapter):  # type: ignore[misc]
    """A user's number is the username, which has an index already."""

    def get_phone(self, user: User) -> tuple[str, bool]:
        """Return a user's number, which is verified."""
        return user.username, True

    def get_user_by_phone(self, phone: str) -> User | None:
        """Return whose number it is."""
        return User.objects.filter(username=phone).first()

    def send_verification_code_sms(self, user: User, phone: str, code: str, **more: Any) -> None:
        """Have the code sent."""
        send_sms(phone, code)
