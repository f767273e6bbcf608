"""Sessions in the database, which holds no key to any of them: the cookie has the key, the row its hash.

So a copy of the database signs nobody in: not a dump, not a backup, not an SQL injection that reads. Nor does one
that writes: a row's content is signed for its own key, and means nothing under another (ASVS 5.0, 7.2 and 13.3).
`SESSION_ENGINE` names this file; the rows are `django.contrib.sessions`' own, and so is `clearsessions`.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from django.contrib.sessions.backends import db
from django.utils import timezone

if TYPE_CHECKING:
    from django.contrib.sessions.base_session import AbstractBaseSession

# What Django makes: 32 of 36 letters, 165 random bits (ASVS 5.0, 7.2.3: at least 128).
KEY = re.compile(r"[0-9a-z]{32}")


def hashed(key: str) -> str:
    """Return what stands for a session's key in its row: 160 bits, the most that Django's column holds.

    Neither salted nor slow, for nobody finds 165 random bits by trying. Nor keyed: a new SECRET_KEY must find the row.
    """
    return hashlib.sha256(f"latchkey.session.{key}".encode()).hexdigest()[:40]


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
        return key is not None and KEY.fullmatch(key) is not None

    def _get_session_from_db(self) -> AbstractBaseSession | None:
        found: AbstractBaseSession | None = self._rows().first()
        if found is None:
            self._session_key = None
        return found

    async def _aget_session_from_db(self) -> AbstractBaseSession | None:
        found: AbstractBaseSession | None = await self._rows().afirst()
        if found is None:
            self._session_key = None
        return found

    def _rows(self) -> Any:
        key = hashed(self.session_key or "")
        return self.model.objects.filter(session_key=key, expire_date__gt=timezone.now())

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
        if key := session_key or self.session_key:
            super().delete(hashed(key))

    async def adelete(self, session_key: str | None = None) -> None:
        """End a session: this one, unless another's key is given."""
        if key := session_key or self.session_key:
            await super().adelete(hashed(key))
