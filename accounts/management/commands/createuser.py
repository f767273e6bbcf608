"""Makes an account, by the rules of the site. `make user` runs it."""

from __future__ import annotations

import sys
from getpass import getpass
from secrets import compare_digest
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError

from accounts.models import User
from accounts.phone_numbers import BadMobile, WhichCountry, canonical, example

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Callable


class Refused(Exception):
    """The site does not accept a value. The message is one line."""


class Command(BaseCommand):
    """`manage.py createuser --name alice --mobile 13800138000 --superuser`"""

    help = (
        "Makes an account with a username and a mobile number, a password, or both. Asks for what is missing. "
        "The password is asked for, or is the first line of standard input; it is no argument, which others could see."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take what is known already."""
        parser.add_argument("--name", default="", help="the username")
        parser.add_argument("--mobile", default="", help="the mobile number, in any spelling")
        parser.add_argument("--staff", action="store_true", help="lets the account open /admin/")
        parser.add_argument("--superuser", action="store_true", help="lets the account do everything in /admin/")

    def handle(self, *args: Any, name: str, mobile: str, staff: bool, superuser: bool, **options: Any) -> None:
        """Ask, check, make the account, and say where it signs in. Raises CommandError with one line."""
        user = User(is_staff=staff or superuser, is_superuser=superuser)
        if sys.stdin.isatty():
            _take(_set_username, user, name, lambda: input("Username: ").strip())
            _take(_set_mobile, user, mobile, lambda: input("Mobile number (Enter for none): ").strip())
            _take(_set_password, user, "", lambda: _asked_twice("Password (Enter for none): "))
        elif name:
            _take(_set_username, user, name)
            _take(_set_mobile, user, mobile)
            _take(_set_password, user, sys.stdin.readline().rstrip("\r\n"))
        else:
            raise CommandError("The account needs a username. Run: make user NAME=alice, or make user in a terminal.")
        try:
            user.save(force_insert=True)
        except IntegrityError as error:
            raise CommandError("The username or the number was taken a moment ago.") from error
        rights = "superuser" if superuser else "staff account" if staff else "account"
        self.stdout.write(f"The {rights} {user.username} can sign in at {settings.PUBLIC_ORIGIN}/login/")


def _take(take: Callable[[User, str], None], user: User, given: str, asked: Callable[[], str] | None = None) -> None:
    """Have a value taken: the one that was given, else the first right answer to a question, if one may be asked.

    Raises CommandError if the one that was given is wrong.
    """
    if given or asked is None:
        try:
            take(user, given)
        except Refused as refused:
            raise CommandError(str(refused)) from refused
        return
    while True:
        try:
            take(user, asked())
        except Refused as refused:
            print(refused)  # noqa: T201  (beside the question, which `input` prints)
        else:
            return


def _asked_twice(question: str) -> str:
    """Return a password that was typed twice, and is not shown. Raises Refused."""
    password = getpass(question)
    if password and not compare_digest(getpass("The same again: ").encode(), password.encode()):
        raise Refused("The two passwords are not the same.")
    return password


def _set_username(user: User, text: str) -> None:
    """Give the account a username. Raises Refused."""
    user.username = text
    _check(user, "username", f"Username {text!r}" if text else "Username")


def _set_mobile(user: User, text: str) -> None:
    """Give the account a number, in any spelling, or none. Raises Refused."""
    regions = ", ".join(settings.SMS_REGIONS)
    try:
        user.mobile = canonical(text) if text else None
    except WhichCountry as error:
        raise Refused(f"Mobile number {text!r}: Write it with its country code, such as +86.") from error
    except BadMobile as error:
        raise Refused(
            f"Mobile number {text!r}: Not one of SMS_REGIONS ({regions}). Write it as {example()}, for instance."
        ) from error
    _check(user, "mobile", f"Mobile number {text!r}")


def _set_password(user: User, text: str) -> None:
    """Give the account a password, or none if it has a number to sign in with. Raises Refused."""
    if not text:
        if not user.mobile:
            raise Refused("Password: Without a mobile number the account needs one, or nobody can sign in to it.")
        user.set_unusable_password()
        return
    try:
        validate_password(text, user)
    except ValidationError as error:
        raise Refused(f"Password: {' '.join(error.messages)}") from error
    user.set_password(text)


def _check(user: User, field: str, what: str) -> None:
    """Raise Refused if one field has a value that the site does not accept, or that another account has."""
    others = {each.name for each in User._meta.get_fields()} - {field}
    try:
        user.full_clean(exclude=others)
    except ValidationError as error:
        raise Refused(f"{what}: {error.messages[0]}") from error
