"""The form that changes a password."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.conf import settings

from accounts.forms import MOST_CHECKED, Form
from accounts.passwords.validators import MAX_LENGTH


class NewPasswordForm(Form):
    """The current password, if the account has one, and the new one. Both exactly as typed, as in PasswordForm."""

    words = {"current": "PASSWORD_FORMAT", "new": "PASSWORD_FORMAT"}

    current = forms.CharField(strip=False, max_length=MOST_CHECKED)
    new = forms.CharField(strip=False, max_length=MAX_LENGTH)

    def __init__(self, data: Mapping[str, Any], *, has_one: bool) -> None:
        """Bind the form. `has_one`: the account has a password, which must be given (ASVS 5.0, 6.2.3)."""
        super().__init__(data)
        if not has_one:
            del self.fields["current"]

    def clean_new(self) -> str:
        """Require the least length, in code points (NIST SP 800-63B-4, 3.1.1.2)."""
        password: str = self.cleaned_data["new"]
        if len(password) < settings.PASSWORD_MIN_LENGTH:
            raise forms.ValidationError("too short", code="format")
        return password
