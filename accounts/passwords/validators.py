"""Password validators: no rules of composition, only against passwords that everybody guesses.

They are in AUTH_PASSWORD_VALIDATORS, so that the site's page, the admin and the commands refuse the same passwords.
Django has a validator for the least length and one for common passwords, and none for what is added here.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

import phonenumbers
from django.conf import settings
from django.contrib.auth.password_validation import CommonPasswordValidator
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

if TYPE_CHECKING:
    from accounts.models import User

# Runs of the keyboard, the digits and the alphabet.
RUNS = ("abcdefghijklmnopqrstuvwxyz", "01234567890123456789", "1234567890qwertyuiopasdfghjklzxcvbnm")
# Characters that a new password may have.
MAX_LENGTH = 128
# Characters of a piece to look up: shorter words are part of nearly every sentence.
PIECE = 4


class Longest:
    """Refuses passwords that are longer than the site's page accepts, in the commands and the admin as well."""

    def validate(self, password: str, user: User | None = None) -> None:
        if len(password) > MAX_LENGTH:
            raise ValidationError(self.get_help_text(), code="password_too_long")

    def get_help_text(self) -> str:
        return _("A password can have at most %(most)d characters.") % {"most": MAX_LENGTH}


class Common(CommonPasswordValidator):
    """Refuses common passwords, also if they are repeated, joined, or extended by digits.

    Only 46 of the 20,000 in Django's list have fifteen letters, so the list alone does not help against long passwords
    (ASVS 5.0, 6.2.4: the most common ones that satisfy the length rule).
    """

    def validate(self, password: str, user: User | None = None) -> None:
        """Raise ValidationError if the password is in the list, or is made from it in one of these ways."""
        super().validate(password, user)
        if self._made_longer(password.lower()):
            raise ValidationError(
                _("This password is too easy to guess. Choose a different one."), code="password_too_common"
            )

    def _made_longer(self, text: str) -> bool:
        # The shortest unit whose repetition is the text: "abc" for "abcabcabcabcabc".
        unit = next(text[:size] for size in range(1, len(text) + 1) if (text[:size] * len(text))[: len(text)] == text)
        if unit != text and len(unit) < settings.PASSWORD_MIN_LENGTH // 2:
            return True
        if any(unit in run or unit in run[::-1] for run in RUNS):
            return True
        core = _bare(unit)
        return any(map(self._known, (unit, core))) or any(
            self._known(_bare(core[:cut])) and self._known(_bare(core[cut:])) for cut in range(PIECE, len(core))
        )

    def _known(self, piece: str) -> bool:
        return len(piece) >= PIECE and piece in self.passwords


class SiteWords:
    """Refuses passwords that are long only by the site's name, the username or the number, which are guessed first.

    NIST SP 800-63B-4, 3.1.1.2, and ASVS 5.0, 6.2.11.
    """

    def validate(self, password: str, user: User | None = None) -> None:
        """Raise ValidationError if the password is too short without these words."""
        rest = password.lower()
        # The longest first: "login.example.org" before "example".
        for word in sorted(_site_words() | _own_words(user), key=len, reverse=True):
            rest = rest.replace(word, "")
        if len(rest) < min(len(password), settings.PASSWORD_MIN_LENGTH):
            raise ValidationError(self.get_help_text(), code="password_too_similar")

    def get_help_text(self) -> str:
        return _("This site's name, your username and your number don't count towards the length.")


def _bare(text: str) -> str:
    """Return a text without leading and trailing digits and punctuation."""
    return re.sub(r"^[\W\d_]+|[\W\d_]+$", "", text)


@cache
def _site_words() -> frozenset[str]:
    """Return the names of this site: its own, ours, its host, and the words in them."""
    names = {"latchkey", settings.SITE_NAME.lower(), settings.PUBLIC_HOST.lower()}
    words = re.findall(r"[^\W\d_]+", " ".join(names))
    return frozenset(names | {word for word in words if len(word) >= PIECE})


def _own_words(user: User | None) -> set[str]:
    """Return the names of a user, and the national form of the number, which E.164 contains."""
    called = (str(getattr(user, name, "")).lower() for name in ("username", "first_name", "last_name"))
    words = {name for name in called if len(name) >= PIECE}
    # The value may have failed the form's validation.
    with suppress(phonenumbers.NumberParseException):
        words.add(phonenumbers.national_significant_number(phonenumbers.parse(getattr(user, "mobile", None) or "")))
    return words
