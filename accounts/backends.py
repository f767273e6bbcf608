"""How visitors sign in: with a password, or with a code that has been checked already."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.hashers import make_password
from django.http import HttpRequest

from accounts.codes import Verified
from accounts.models import User
from accounts.passwords.hashers import spellings
from accounts.phone_numbers import BadMobile, canonical
from accounts.throttling import failed_attempts


@dataclass(frozen=True, slots=True)
class ClaimedAccount:
    """The account that a visitor claims, looked up once, so that guesses count for the account that is signed in to."""

    user: User | None
    # What a guess at the password counts towards: accounts/throttling/failed_attempts.py.
    subject: str


class PasswordBackend(ModelBackend):
    """Takes a username or a mobile number, and a password."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        claim: ClaimedAccount | None = None,
        **_: object,
    ) -> User | None:
        """Return the user, or None for unknown, wrong and inactive alike. `claim` may replace `username`.

        The same hashes are computed on every path (ASVS 5.0, 6.3.8): here for an unknown name, by Django's own check
        for a user without a usable password.
        """
        if password is None or (username is None and claim is None):
            return None
        user = claim.user if claim else find(username or "")
        if user is None:
            for spelling in spellings(password):
                make_password(spelling)
            return None
        # The password is checked first: the answer for an inactive user takes as long as that for a wrong password.
        right = user.check_password(password)
        return user if right and self.user_can_authenticate(user) else None


class CodeBackend(ModelBackend):
    """Takes the proof that a code was checked. A number alone proves nothing and is not accepted."""

    def authenticate(  # type: ignore[override]
        self, request: HttpRequest | None, verified: Verified | None = None, **_: object
    ) -> User | None:
        """Return the number's user, created if there is none and SIGN_UP allows it, or None."""
        if verified is None:
            return None
        user = User.objects.of_mobile(verified.mobile, make=settings.SIGN_UP)
        return user if user is not None and self.user_can_authenticate(user) else None


def meant(identity: str) -> str:
    """Return the canonical form of what a visitor has typed: a mobile number in E.164, else a lower-case username."""
    try:
        return canonical(identity)
    except BadMobile:
        return identity.lower()


def find(identity: str) -> User | None:
    """Return the user with this username or mobile number, in any spelling. No username looks like a number."""
    name = meant(identity)
    users = User.objects.filter(mobile=name) if name.startswith("+") else User.objects.filter(username__lower=name)
    return users.first()


def claim_of(identity: str) -> ClaimedAccount:
    """Look up the account that a visitor claims."""
    user = find(identity)
    return ClaimedAccount(user, failed_attempts.of_account(user.pk if user else None, meant(identity)))
