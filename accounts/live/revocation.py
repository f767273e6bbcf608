"""Tells a user's open pages, in every browser, that their sessions may have ended: they come back and find the truth.

The sessions themselves need no telling. Django ends those of a former password, of a locked and of a deleted account at
their next request. A socket makes no request, so it is told; one that misses it looks by itself within ten seconds.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from accounts.live.state import SESSION_CHANGED
from accounts.models import User
from project import keys
from project.live.push import push

if TYPE_CHECKING:
    from collections.abc import Collection

# What a session hangs on.
FIELDS = {"password", "is_active"}


def group(pk: int) -> str:
    """Return the name of the group that a user's pages listen to while they are signed in."""
    return f"user.{keys.hashed('user', str(pk))}"


def tell(pk: int) -> None:
    """Make every signed-in page of a user come back with its present cookies. Never raises."""
    push(group(pk), SESSION_CHANGED)


@receiver(post_save, sender=User, dispatch_uid="accounts.live.revocation.saved")
def _saved(instance: User, created: bool, raw: bool, update_fields: Collection[str] | None, **_: object) -> None:
    """Somebody was changed, by the admin, a command or a shell. A login only writes `last_login`, so it tells nobody.

    A save of all fields may have changed nothing that matters; then the pages come back to what they were.
    """
    if created or raw or (update_fields is not None and FIELDS.isdisjoint(update_fields)):
        return
    # Not sooner: who comes back before the commit finds the old password still right.
    transaction.on_commit(partial(tell, instance.pk))


@receiver(post_delete, sender=User, dispatch_uid="accounts.live.revocation.deleted")
def _deleted(instance: User, **_: object) -> None:
    """Somebody is gone."""
    transaction.on_commit(partial(tell, instance.pk))
