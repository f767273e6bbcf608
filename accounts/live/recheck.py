"""Rechecks that no event asked for: a push may be lost, and a session may end in silence.

Every open page is rechecked every `EVERY_SECONDS`. Page by page that would be a thousand reads a second for 8,000
pages, and nearly all of them would find nothing new. So the pages of one slot are read together, in three queries, and
only a page of which something has changed since its last recheck reads its own rows.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Protocol

from django.db.models import OuterRef, Subquery
from django.db.models.functions import Now

from accounts.models import User
from accounts.sessions import SessionStore
from project import outage
from tasks.models import Delivery

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

logger = logging.getLogger(__name__)

# Seconds from one recheck of a page to its next: a page must not be wrong for longer than ten seconds.
EVERY_SECONDS = 8
# Pages in one query. SQLite takes 32,766 values, PostgreSQL plans a thousand well.
MAX_PAGES_IN_QUERY = 500
RECHECK = {"type": "recheck"}


class Page(Protocol):
    """What a page is known by: its session's key, its browser's hash, its user or 0; and what the last recheck saw."""

    session: str
    browser: str
    user: int
    seen: int | None

    def enqueue(self, event: Mapping[str, str]) -> None:
        """Have the page read its own rows."""


class Rechecks:
    """The pages of this process, a slot of them each second."""

    def __init__(self, read: Callable[[Callable[..., list[int]], Sequence[Page]], Awaitable[list[int]]]) -> None:
        """Take what calls a function in a thread that may read the database."""
        self._read = read
        self._slots: list[set[Page]] = [set() for _ in range(EVERY_SECONDS)]
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._next = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, page: Page) -> None:
        """Recheck a page from now on, first when `EVERY_SECONDS` are nearly over: it was just read."""
        self.remove(page)
        # One of two slots, so that pages that come all at once are rechecked in two parts at least.
        self._slots[(self._next - random.choice((1, 2))) % EVERY_SECONDS].add(page)  # noqa: S311
        if not self._timer:
            self._timer = asyncio.get_running_loop().call_later(1, self._tick)

    def remove(self, page: Page) -> None:
        """Recheck the page no more."""
        for slot in self._slots:
            slot.discard(page)

    def _tick(self) -> None:
        self._timer = None
        if any(self._slots):
            self._timer = asyncio.get_running_loop().call_later(1, self._tick)
        now = self._next
        self._next = (now + 1) % EVERY_SECONDS
        # A database that is so slow is not asked the same again.
        if self._slots[now] and now not in self._under_way:
            self._under_way[now] = asyncio.ensure_future(self._recheck(now))

    async def _recheck(self, now: int) -> None:
        pages = list(self._slots[now])
        try:
            for start in range(0, len(pages), MAX_PAGES_IN_QUERY):
                some = pages[start : start + MAX_PAGES_IN_QUERY]
                for page, seen in zip(some, await self._read(fingerprints, some), strict=True):
                    if page.seen != seen:
                        # The page reads its own rows later than this, so no change is lost between the two.
                        page.seen = seen
                        page.enqueue(RECHECK)
        except Exception as error:  # noqa: BLE001  (the database's own errors and any other: this task has no caller)
            logger.warning("pages are rechecked one by one: %s", outage.name(error))
            for page in pages:
                page.enqueue(RECHECK)
        finally:
            del self._under_way[now]


def fingerprints(pages: Sequence[Page]) -> list[int]:
    """Return for each page a number that is another one when what it shows may have changed. Reads the database."""
    model = SessionStore.get_model_class()
    sessions = dict(
        model.objects.filter(session_key__in={page.session for page in pages}, expire_date__gt=Now())
        .values_list("session_key", "session_data")
    )  # fmt: skip
    newest = Delivery.objects.filter(browser=OuterRef("browser")).order_by("-created_at").values("created_at")[:1]
    rows = Delivery.objects.filter(browser__in={page.browser for page in pages}, created_at=Subquery(newest))
    at = [field.attname for field in Delivery._meta.concrete_fields].index("browser")
    deliveries = {row[at]: row for row in rows.values_list()}
    users = {
        row[0]: row
        for row in User.objects.filter(pk__in={page.user for page in pages if page.user})
        .values_list("pk", "username", "password", "is_active")
    }  # fmt: skip
    return [hash((sessions.get(page.session), deliveries.get(page.browser), users.get(page.user))) for page in pages]
