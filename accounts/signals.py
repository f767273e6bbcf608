"""Signals for a site's own apps. Each is sent after the commit; a receiver that fails is logged and stops nothing.

A receiver runs in the visitor's request: work that takes long belongs in a task. Every signal's `sender` is the user
model. Django's own `user_logged_in` and `user_logged_out` are sent as well, at once.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from django.contrib.auth.signals import user_logged_in
from django.db import transaction
from django.db.models.signals import post_save, pre_save
from django.dispatch import Signal, receiver

from accounts.models import User

if TYPE_CHECKING:
    from collections.abc import Collection

    from django.http import HttpRequest

# With `user`. However the account was made: by a first code, in the admin, by a command or by code of the site's own.
account_made = Signal()
# With `user`, `request` and `how`: "password", "code", or "" for a sign-in by another backend.
signed_in = Signal()
# With `user`, `before` and `after`: numbers as +8613800138000, or None for no number.
number_changed = Signal()

WAYS = {"accounts.backends.PasswordBackend": "password", "accounts.backends.CodeBackend": "code"}
# Where a user about to be saved keeps the number that is in the table.
BEFORE = "_number_before"


def _send(signal: Signal, **facts: Any) -> None:
    """Send a signal once the transaction is committed; without one, now. Django logs receivers that fail."""
    transaction.on_commit(partial(signal.send_robust, User, **facts), robust=True)


@receiver(user_logged_in, sender=User, dispatch_uid="accounts.signals.logged_in")
def _logged_in(request: HttpRequest | None, user: User, **_: object) -> None:
    _send(signed_in, user=user, request=request, how=WAYS.get(getattr(user, "backend", ""), ""))


@receiver(pre_save, sender=User, dispatch_uid="accounts.signals.saving")
def _saving(instance: User, raw: bool, update_fields: Collection[str] | None, **_: object) -> None:
    """Note the number in the table, unless this save leaves it alone. A sign-in only saves `last_login`."""
    vars(instance).pop(BEFORE, None)
    if raw or instance._state.adding or (update_fields is not None and "mobile" not in update_fields):
        return
    for (mobile,) in User.objects.filter(pk=instance.pk).values_list("mobile"):
        setattr(instance, BEFORE, mobile)


@receiver(post_save, sender=User, dispatch_uid="accounts.signals.saved")
def _saved(instance: User, created: bool, raw: bool, **_: object) -> None:
    if raw:
        return
    if created:
        _send(account_made, user=instance)
        return
    before = vars(instance).pop(BEFORE, instance.mobile)
    if before != instance.mobile:
        _send(number_changed, user=instance, before=before, after=instance.mobile)
