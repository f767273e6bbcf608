"""Sessions in the database, which holds no key to any of them: the cookie has the key, the row its hash.

A visitor who has only come by has no row at all. Their session holds nothing but which browser this is, and that is
the cookie itself, signed: who opens a million pages leaves nothing behind, and a new visitor's page waits for no disk.
The row comes with the first thing worth keeping, a login as a rule, under a key of its own. What is left of the
visitor's is a row that says that it has ended: an open page that nobody told finds it and comes back.

So a copy of the database signs nobody in: not a dump, not a backup, not an SQL injection that reads. Nor does one
that writes: a row's content is signed for its own key, and means nothing under another (ASVS 5.0, 7.2 and 13.3).
`SESSION_ENGINE` names this file; the rows are `django.contrib.sessions`' own, and so is `clearsessions`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.sessions.backends import db
from django.db.models.functions import Now
from django.utils.crypto import get_random_string

from accounts import browser
from project import keys
from project.prepared import Prepared

if TYPE_CHECKING:
    from django.contrib.sessions.base_session import AbstractBaseSession
    from django.db.models import QuerySet

# What Django makes: 32 of 36 letters, 165 random bits (ASVS 5.0, 7.2.3: at least 128).
KEY = re.compile(r"[0-9a-z]{32}")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
# A browser's id (128 random bits), the second it was given in, and our signature.
VISITOR = re.compile(r"(?P<planted>[0-9a-f]{32})(?P<second>[0-9a-f]{8})(?P<signature>[0-9a-f]{32})")


def hashed(key: str) -> str:
    """Return what stands for a session's key in its row: 160 bits, the most that Django's column holds.

    Neither salted nor slow, for nobody finds 165 random bits by trying. Nor keyed: a new SECRET_KEY must find the row.
    """
    return hashlib.sha256(f"latchkey.session.{key}".encode()).hexdigest()[:40]


def visitor_key(planted: str) -> str:
    """Return the session key of a visitor without a row."""
    said = f"{planted}{int(time.time()):08x}"
    return said + _signature(said)


def visitor(key: str | None) -> str | None:
    """Return the browser id in the key of a session without a row; None if it is none, or not ours, or too old.

    A signature of a SECRET_KEY that was replaced counts as long as it stands in SECRET_KEY_FALLBACKS.
    """
    match = VISITOR.fullmatch(key or "")
    if match is None or time.time() - int(match["second"], 16) > settings.SESSION_COOKIE_AGE:
        return None
    said = match["planted"] + match["second"]
    secrets = (None, *settings.SECRET_KEY_FALLBACKS)
    ours = [hmac.compare_digest(match["signature"], _signature(said, secret)) for secret in secrets]
    return match["planted"] if any(ours) else None


def _signature(said: str, secret: str | None = None) -> str:
    return hmac.digest(keys.derive("visitor", secret), said.encode(), "sha256").hex()[:32]


def _alive(key: str) -> QuerySet[Any]:
    return SessionStore.get_model_class().objects.filter(session_key=key, expire_date__gt=Now())


_ROW: Prepared[Any] = Prepared(_alive)


def has_ended(key: str) -> bool:
    """Tell whether a visitor's session has ended, with a login as a rule.

    Only a socket asks. A request with its cookie is a stranger's, and the browser id in it stands for nothing.
    """
    return _ROW.exists(key=hashed(key))


class SessionStore(db.SessionStore):
    """Django's store in the database, with the key's hash wherever that one writes or looks for the key.

    As there, a key that has no row is never adopted, and a session that was ended meanwhile cannot be saved
    (`UpdateError`): a slow request brings nobody back after a logout.
    """

    @property
    def key_salt(self) -> str:
        """What the content is signed with, besides SECRET_KEY. Django's own is the same for every session."""
        return f"latchkey.session.{hashed(self.session_key or '')}"

    def _validate_session_key(self, key: str | None) -> bool:
        """Take no key that we cannot have made: the database is not asked for it."""
        return key is not None and (KEY.fullmatch(key) is not None or visitor(key) is not None)

    def _get_new_session_key(self) -> str:
        """Return a key. Not even one in 2 to the 160th is taken, and the insert would say so."""
        return get_random_string(32, LETTERS)

    def load(self) -> dict[str, Any]:
        """Return what the session holds: from the key, or from its row."""
        planted = visitor(self.session_key)
        return {browser.KEY: planted} if planted else super().load()

    async def aload(self) -> dict[str, Any]:
        """Return what the session holds."""
        planted = visitor(self.session_key)
        return {browser.KEY: planted} if planted else await super().aload()

    def save(self, must_create: bool = False) -> None:
        """Write the row, if the session holds more than the key can."""
        if must_create or (self._session_key and KEY.fullmatch(self._session_key)):
            super().save(must_create)
        elif set(self.keys()) == {browser.KEY}:
            self._session_key = visitor_key(self[browser.KEY])
        else:
            # Under a new key: who knows a visitor's knows no session that begins with it.
            self.create()

    async def asave(self, must_create: bool = False) -> None:
        """Write the row, if the session holds more than the key can."""
        await sync_to_async(self.save)(must_create)

    def _get_session_from_db(self) -> AbstractBaseSession | None:
        found: AbstractBaseSession | None = _ROW.first(key=hashed(self.session_key or ""))
        if found is None:
            self._session_key = None
        return found

    async def _aget_session_from_db(self) -> AbstractBaseSession | None:
        return await sync_to_async(self._get_session_from_db)()

    def exists(self, session_key: str) -> bool:
        """Tell whether a key is taken."""
        return bool(super().exists(hashed(session_key)))

    async def aexists(self, session_key: str) -> bool:
        """Tell whether a key is taken."""
        return bool(await super().aexists(hashed(session_key)))

    def create_model_instance(self, data: dict[str, Any]) -> AbstractBaseSession:
        """Return the row to save."""
        row = super().create_model_instance(data)
        row.session_key = hashed(row.session_key)
        return row

    async def acreate_model_instance(self, data: dict[str, Any]) -> AbstractBaseSession:
        """Return the row to save."""
        row = await super().acreate_model_instance(data)
        row.session_key = hashed(row.session_key)
        return row

    def delete(self, session_key: str | None = None) -> None:
        """End a session: this one, unless another's key is given."""
        key = session_key or self.session_key
        if key and KEY.fullmatch(key):
            super().delete(hashed(key))
        elif key and visitor(key):
            over = self.model(session_key=hashed(key), session_data=self.encode({}), expire_date=self.get_expiry_date())
            self.model.objects.bulk_create([over], ignore_conflicts=True)

    async def adelete(self, session_key: str | None = None) -> None:
        """End a session: this one, unless another's key is given."""
        await sync_to_async(self.delete)(session_key)
