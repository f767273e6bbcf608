"""Django's createsuperuser, which without questions checks its password as well."""

from __future__ import annotations

import os
from typing import Any

from django.contrib.auth.management.commands import createsuperuser
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management import CommandError

from accounts.models import User


class Command(createsuperuser.Command):
    """Makes a superuser."""

    def handle(self, *args: Any, **options: Any) -> str | None:
        """Refuse a weak password from the environment, where Django asks its validators only at a prompt."""
        password = os.environ.get("DJANGO_SUPERUSER_PASSWORD")
        if not options["interactive"] and password:
            try:
                validate_password(password, User(username=options["username"] or ""))
            except ValidationError as error:
                raise CommandError("DJANGO_SUPERUSER_PASSWORD: " + " ".join(error.messages)) from error
        return super().handle(*args, **options)
