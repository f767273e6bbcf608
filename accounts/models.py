"""The user: a username, perhaps a mobile number, perhaps a password."""

from __future__ import annotations

import re
from typing import ClassVar

from django.contrib.auth.models import AbstractUser, UserManager
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import IntegrityError, models, transaction
from django.db.models.functions import Lower, Now
from django.utils.translation import gettext_lazy as _

from accounts import usernames
from accounts.passwords.hashers import composed, spellings
from accounts.phone_numbers import BadMobile, canonical, looks_like_mobile

USERNAME = re.compile(r"[a-zA-Z0-9_-]{5,20}")

# Lookups by `username__lower` use the index that makes usernames unique whatever their case.
models.CharField.register_lookup(Lower)


def not_a_number(value: str) -> None:
    """Refuse a username that could be taken for somebody's mobile number (ASVS 5.0, 6.3: one namespace each)."""
    if looks_like_mobile(value):
        raise ValidationError(_("A username can't look like a mobile number."), code="like_mobile")


def e164(value: str) -> None:
    """Refuse a number that is not in its one canonical spelling."""
    try:
        right = canonical(value)
    except BadMobile:
        right = ""
    if value != right:
        raise ValidationError(_("Enter the number in the format +8613800138000."), code="mobile")


class Users(UserManager["User"]):
    """Makes and finds users."""

    def get_by_natural_key(self, username: str | None) -> User:
        """Find by username whatever its case."""
        return self.get(username__lower=(username or "").lower())

    def of_mobile(self, mobile: str, *, make: bool) -> User | None:
        """Return the user of a verified number, made now if there is none and `make` is true; else None."""
        while True:
            if user := self.filter(mobile=mobile).first():
                return user
            if not make:
                return None
            user = self.model(username=usernames.readable(), mobile=mobile)
            user.set_unusable_password()
            try:
                with transaction.atomic():
                    user.save(force_insert=True)
            except IntegrityError:
                # Another tab has made the account in this instant, or the name is taken: look, then try again.
                continue
            return user


class User(AbstractUser):
    """Somebody who can sign in."""

    username = models.CharField(
        _("username"),
        max_length=20,
        unique=True,
        help_text=_("5 to 20 letters, digits, hyphens or underscores. It can't look like a mobile number."),
        validators=[
            RegexValidator(
                re.compile(rf"\A{USERNAME.pattern}\Z"), _("Enter 5 to 20 letters, digits, hyphens or underscores.")
            ),
            not_a_number,
        ],
        error_messages={"unique": _("This username is taken.")},
    )
    mobile = models.CharField(
        _("mobile number"),
        max_length=16,
        unique=True,
        null=True,
        blank=True,
        default=None,
        help_text=_("For example +8613800138000."),
        validators=[e164],
        error_messages={"unique": _("This number is already used by another account.")},
    )

    objects: ClassVar[Users] = Users()

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")
        constraints = [
            models.UniqueConstraint(
                Lower("username"), name="username_once", violation_error_message=_("This username is taken.")
            )
        ]

    def __str__(self) -> str:
        return self.username

    def set_password(self, raw_password: str | None) -> None:
        """Keep a password in one spelling: what one keyboard sends composed, another sends in pieces."""
        super().set_password(None if raw_password is None else composed(raw_password))

    def check_password(self, raw_password: str) -> bool:
        """Tell whether this is the password. All spellings are checked, or the time would say which one was right."""
        check = super().check_password
        answers = [check(spelling) for spelling in spellings(raw_password)]
        return any(answers)

    def clean(self) -> None:
        """Make an empty number None, so that any number of users may have none."""
        super().clean()
        self.mobile = self.mobile or None


class Guesses(models.Model):
    """Wrong guesses in a row: at one account's password, at one number's codes, from one address, or two of them.

    In the database and not in Redis, so that neither a restart nor an outage of Redis forgives them.
    """

    # What is counted, as a keyed hash behind its kind: "password:...", "code:...", "address:...", "pair:...".
    key = models.CharField(primary_key=True, max_length=48, editable=False)
    # Of a pair, the key of what is guessed at: both are forgiven together.
    secret = models.CharField(max_length=48, blank=True, default="", db_default="", db_index=True, editable=False)
    count = models.PositiveIntegerField(_("failed attempts"), default=0, db_default=0)
    last_at = models.DateTimeField(_("last attempt"), db_default=Now())
    # Nothing is looked at before this moment.
    open_at = models.DateTimeField(_("locked until"), db_default=Now())

    class Meta:
        verbose_name = _("failed attempts")
        verbose_name_plural = _("failed attempts")

    def __str__(self) -> str:
        return f"{self.key[:16]}: {self.count}"
