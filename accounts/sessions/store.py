"""Sessions in Django's table, which holds no key to any of them: the key is in the cookie, its hash in the row.

A copy of the database signs nobody in, be it a dump, a backup or an SQL injection that reads. Nor does an SQL injection
that writes: the content of a row is signed for its own key (ASVS 5.0, 7.2 and 13.3). When a visitor signs in, a row
records that the session in their cookie has ended, so that an open page that missed the event reconnects. The rows are
`django.contrib.sessions`' own, and so is `clearsessions`.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import VALID_KEY_CHARS, UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.db import transaction
from django.db.models.functions import Now
from django.utils.crypto import get_random_string

from accounts.sessions import browser_id
from accounts.sessions.keys import KEY, hashed
from accounts.sessions.visitors import visitor, visitor_key
from project.sql import Statement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.contrib.sessions.base_session import AbstractBaseSession
    from django.db.models import QuerySet
    from django.http import HttpRequest

# The content of a row whose session continues under another key: "moved" in base64, then that key's hash. No signed
# content starts with it.
MOVED = "bW92ZWQ:"
# How long that row is kept. A request with the old key has ended by then.
MOVED_FOR = timedelta(minutes=5)
# "unread" in base64, a code's delivery, and the content: the session that the code has made, until a request has come
# with its key.
UNREAD = "dW5yZWFk:"
# How long the answer to a sign-in may be on its way. A request with the former cookie may have been sent before it
# came, and a new cookie would take the place of the one that the sign-in has brought.
SETTLE = timedelta(seconds=2)


# Runs with each request of a signed-in user, and each time an open page reads its state.
ROW = Statement("SELECT * FROM django_session WHERE session_key = %(key)s AND expire_date > {now}")


# A visitor's session that has ended has a row as well, for as long as its cookie would be good.
ENDED = "ZW5kZWQ:"
END = Statement("""
    INSERT INTO django_session (session_key, session_data, expire_date) VALUES (%(key)s, %(ended)s, {now + life})
    ON CONFLICT (session_key) DO NOTHING
""")
SETTLED = Statement("""
    SELECT 1 FROM django_session
    WHERE session_key = %(key)s AND expire_date > {now} AND expire_date < {now + life_since_settled}
""")


def _alive(key: str) -> QuerySet[Any]:
    return SessionStore.get_model_class().objects.filter(session_key=key, expire_date__gt=Now())


def has_ended(key: str) -> bool:
    """Tell whether a visitor's session has ended, usually with a login. For sockets; `load` sees to requests."""
    return ROW.row(key=hashed(key)) is not None


def is_unread(name: str, code: str) -> bool:
    """Tell whether no request has come yet with the session of this name (hash) that this code's sign-in has made."""
    return _unread(name, code).exists()


def end_unread(name: str, code: str) -> bool:
    """End that session, unless a request has come with it. Return whether it was ended: the row is the referee."""
    return bool(_unread(name, code).delete()[0])


def _unread(name: str, code: str) -> QuerySet[Any]:
    return _alive(name).filter(session_data__startswith=f"{UNREAD}{code}:")


def _cookie_life() -> timedelta:
    return timedelta(seconds=settings.SESSION_COOKIE_AGE)


def _end(name: str) -> None:
    """Delete a row and the rows that its session continues in: two at most in practice, one for each change of key."""
    rows = SessionStore.get_model_class().objects
    while name:
        with transaction.atomic():
            # Locked, so that a change of key under way is waited for and its outcome is read.
            row = rows.select_for_update().filter(session_key=name).first()
            if row is None:
                return
            row.delete()
        name = row.session_data.removeprefix(MOVED) if row.session_data.startswith(MOVED) else ""


def ended_visitor(request: HttpRequest) -> str | None:
    """Return the browser id in a request's cookie if it is that of a visitor whose session ended a while ago."""
    return getattr(request.session, "ended", None)


class SessionStore(db.SessionStore):
    """Django's store in the database, with the hash of the key wherever Django writes or looks up the key.

    As in Django, a key without a row is never adopted, and a session that has ended cannot be saved (`UpdateError`), so
    a slow request does not undo a logout. Here a change of key does not undo it either, and a logout with the old key
    ends the session under its new one.
    """

    # True while Django looks up the user: nothing is moved or ended.
    _only_read = False
    # The delivery of the code that this request signs in with: the row tells until a request comes with its key.
    unread_code = ""
    # Whether this is a request's session: then a visitor's is looked up, in case it has ended.
    of_request = False
    # The browser id in the cookie of a visitor whose session ended a while ago.
    ended: str | None = None

    def __init__(self, session_key: str | None = None) -> None:
        """Take the key in a browser's cookie."""
        super().__init__(session_key)
        # Loading drops a key that has no living row.
        self._shown = self.session_key

    @contextmanager
    def only_read(self) -> Iterator[None]:
        """Keep the row and its key, whatever is called inside.

        `auth.get_user` gives a session that was signed with a former SECRET_KEY another key, and deletes one of a
        former password. Two players: a poll that does so, and a logout or a new password in the same moment, which
        knows the session by the key that the poll takes away.
        """
        self._only_read = True
        try:
            yield
        finally:
            self._only_read = False

    def cycle_key(self) -> None:
        """Give the session another key, if it has not ended meanwhile. Raises SessionInterrupted if it has.

        Django writes the new row whether or not the old one is still there, and so undoes a logout.
        """
        if self._only_read:
            return
        data = dict(self.items())
        old = self.session_key
        if old is None or not KEY.fullmatch(old):
            super().cycle_key()
            return
        self._session_key = self._get_new_session_key()
        row = self.create_model_instance(data)
        with transaction.atomic():
            moved = self._living(old).update(session_data=MOVED + row.session_key, expire_date=Now() + MOVED_FOR)
            if moved:
                row.save(force_insert=True)
        if not moved:
            self._forget()
            raise SessionInterrupted("The session ended before the request was completed.")
        self.modified = True

    async def acycle_key(self) -> None:
        """Give the session another key."""
        await sync_to_async(self.cycle_key)()

    def flush(self) -> None:
        """End the session, also if it goes on under another key since this request began."""
        if not self._only_read:
            self.delete(self.session_key or self._shown)
        self._forget()

    async def aflush(self) -> None:
        """End the session."""
        await sync_to_async(self.flush)()

    def _forget(self) -> None:
        """Hold nothing."""
        self.clear()
        self._session_key = None
        self.modified = self.modified and not self._only_read

    def _living(self, key: str) -> QuerySet[Any]:
        """Return the row of a session that goes on under this key."""
        return _alive(hashed(key)).exclude(session_data__startswith=MOVED)

    @property
    def key_salt(self) -> str:
        """What the content is signed with, besides SECRET_KEY. Django's own is the same for every session."""
        return f"latchkey.session.{hashed(self.session_key or '')}"

    def _validate_session_key(self, key: str | None) -> bool:
        """Take no key that we cannot have made: the database is not asked for it."""
        return key is not None and (KEY.fullmatch(key) is not None or visitor(key) is not None)

    def _get_new_session_key(self) -> str:
        """Return a key, without asking whether it is taken: one in 2 to the 160th is, and the insert would fail."""
        return get_random_string(32, VALID_KEY_CHARS)

    def load(self) -> dict[str, Any]:
        """Return what the session holds: from the key, or from its row."""
        planted = visitor(self.session_key)
        return self._load_visitor(planted) if planted else super().load()

    async def aload(self) -> dict[str, Any]:
        """Return what the session holds."""
        planted = visitor(self.session_key)
        return await sync_to_async(self._load_visitor)(planted) if planted else await super().aload()

    def _load_visitor(self, planted: str) -> dict[str, Any]:
        """Return what a visitor's cookie holds. One that has ended is nobody's: a page gives them another.

        The answer to the sign-in that ended it may have been lost, and a browser that went on with this cookie would
        have no socket.
        """
        if self.of_request and SETTLED.row(
            key=hashed(self.session_key or ""), life_since_settled=_cookie_life() - SETTLE
        ):
            self.ended, self._session_key = planted, None
            return {}
        return {browser_id.KEY: planted}

    def save(self, must_create: bool = False) -> None:
        """Write the row, if the session holds more than the key can."""
        if must_create:
            super().save(must_create)
        elif self._session_key and KEY.fullmatch(self._session_key):
            data = dict(self.items())
            if self._session_key is None:
                # Loaded just now, and found to be over.
                raise UpdateError
            row = self.create_model_instance(data)
            same = self._living(self._session_key)
            if not same.update(session_data=row.session_data, expire_date=row.expire_date):
                raise UpdateError
        elif set(self.keys()) == {browser_id.KEY}:
            self._session_key = visitor_key(self[browser_id.KEY])
        else:
            # Under a new key: who knows a visitor's knows no session that begins with it.
            self.create()

    async def asave(self, must_create: bool = False) -> None:
        """Write the row, if the session holds more than the key can."""
        await sync_to_async(self.save)(must_create)

    def _get_session_from_db(self) -> AbstractBaseSession | None:
        for found in ROW.objects(self.model, key=hashed(self.session_key or "")):
            if found.session_data.startswith(UNREAD):
                return self._read_first(found)
            if not found.session_data.startswith(MOVED):
                return found
        self._session_key = None
        return None

    def _read_first(self, row: AbstractBaseSession) -> AbstractBaseSession | None:
        """Record that a request has come with this session, and return its row, None if it was ended just now."""
        content = row.session_data.removeprefix(UNREAD).split(":", 1)[1]
        unread = self.model.objects.filter(session_key=row.session_key, session_data=row.session_data)
        if not unread.update(session_data=content):
            return self._get_session_from_db()
        row.session_data = content
        return row

    async def _aget_session_from_db(self) -> AbstractBaseSession | None:
        return await sync_to_async(self._get_session_from_db)()

    def exists(self, session_key: str) -> bool:
        """Tell whether a key is taken."""
        rows = self.model.objects.filter(session_key=hashed(session_key))
        return bool(rows.exclude(session_data__startswith=MOVED).exists())

    async def aexists(self, session_key: str) -> bool:
        """Tell whether a key is taken."""
        return await sync_to_async(self.exists)(session_key)

    def create_model_instance(self, data: dict[str, Any]) -> AbstractBaseSession:
        """Return the row to save."""
        row = super().create_model_instance(data)
        row.session_key = hashed(row.session_key)
        if self.unread_code:
            row.session_data = f"{UNREAD}{self.unread_code}:{row.session_data}"
        return row

    async def acreate_model_instance(self, data: dict[str, Any]) -> AbstractBaseSession:
        """Return the row to save."""
        return await sync_to_async(self.create_model_instance)(data)

    def delete(self, session_key: str | None = None) -> None:
        """End a session: this one, unless another's key is given."""
        key = session_key or self.session_key
        if key and KEY.fullmatch(key):
            _end(hashed(key))
        elif key and visitor(key):
            END.run(key=hashed(key), ended=ENDED, life=_cookie_life())

    async def adelete(self, session_key: str | None = None) -> None:
        """End a session: this one, unless another's key is given."""
        await sync_to_async(self.delete)(session_key)
