"""The one socket of a page: it joins its browser's group, reads the rows, and sends the page's own leaves.

Nothing that a client sends reaches a handler, and no id comes from it: only its session says who it is. A site's own
page may need more: subclass `PageConsumer`, name `groups`, add a method for each event, and return leaves from `extra`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.db import Error as DatabaseError
from django.http import HttpRequest, parse_cookie
from django.utils import translation

from accounts import sessions
from accounts.codes import cooldown_cookie
from accounts.live import recheck, render, revocation
from accounts.live.connection_limits import session_key
from accounts.live.countdown import Countdown
from accounts.live.heartbeat import Heartbeat
from accounts.live.state import EVERY_PAGE, State, Visitor, state_of_row, visitor_in_key, visitor_of_session
from project import outage, redis
from project.live.consumer import GONE, EventConsumer, read
from tasks import delivery

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

logger = logging.getLogger(__name__)

# Seconds between two rechecks of a page whose words change by themselves. Sooner while a delivery is on its way. All
# other pages are rechecked together: accounts/live/recheck.py.
RECHECK_SECONDS = recheck.EVERY_SECONDS
RECHECK_UNFINISHED_SECONDS = 5
# How long after the moment at which its words change a page is rechecked: never before it.
AFTER_SECONDS = (0.05, 0.5)
# Seconds between looking for a row that is just being written: its message is faster than its commit.
ROW_PAUSES_SECONDS = (0.004, 0.01, 0.04, 0.25, 1.0)
WRITTEN = {"type": "delivery.written"}
# Seconds that the browser has to store the cookies of that answer: with the old ones a page would be refused.
COOKIE_SECONDS = 0.1
# Our page sends nothing. A client that sends more messages than this is disconnected.
MAX_MESSAGES = 10
# Bytes, or letters.
MAX_MESSAGE_SIZE = 4096
# 1008 (policy) among the codes for private use: daphne sends 1000 and those from 3000 on, and fails on any other.
POLICY = 4008
# Seconds that a page has to close the socket itself.
GOODBYE_SECONDS = 0.5


class PageConsumer(EventConsumer):
    """Keeps the header, the delivery and the countdown of one page true."""

    unavailable = (redis.Unavailable, DatabaseError, OSError)
    # For pages that show what is in no row of this browser: each is rechecked by itself.
    rechecks_itself: ClassVar[bool] = False

    # Of this browser. The defaults are the class's: an attribute of its own costs each of thousands of pages.
    group = ""
    key = session = browser = ""
    user = 0
    seen: int | None = None
    accepted = False
    messages = 0
    # What was shown last, as a number: the words of thousands of pages are megabytes. 0: nothing yet.
    shown = 0
    timer: asyncio.TimerHandle | None = None
    countdown: Countdown | None = None
    # By the loop's clock: the wait for a number that no row of this browser tells of.
    wait_until = 0.0
    # When the last request's code ends. A newer request leaves that wait behind.
    expires_at: datetime | None = None
    ended = False

    async def part_unavailable(self, error: Exception) -> None:
        """While Redis or the database is away, close: the page polls, and opens another socket later."""
        logger.warning("a socket was closed: %s", outage.name(error))
        self.stop()
        await self.leave_groups()
        if self.accepted:
            await self.renew()
        else:
            await self.close()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Disconnect a client that sends many messages or a long one. Whatever it sends is ignored."""
        self.messages += 1
        if not self.closed and (self.messages > MAX_MESSAGES or len(text_data or bytes_data or "") > MAX_MESSAGE_SIZE):
            self.ended = True
            await self.close(POLICY)

    async def connect(self) -> None:
        """Let in whoever has a living session; others get 403, come back later, and poll meanwhile."""
        headers = dict(self.scope["headers"])
        self.key = session_key(headers)
        self.language = _language(headers)
        # A visitor's key says whose it is. Whether it still holds, `snapshot` tells of everybody.
        visitor = visitor_in_key(self.key) or (await read(visitor_of_session, self.key) if self.key else None)
        if visitor is None or not self.may_enter(visitor):
            await self.close()
            return
        self.session, self.browser = sessions.hashed(self.key), visitor.browser
        self.group = delivery.group(visitor.browser)
        groups = [self.group]
        if visitor.user:
            self.user = visitor.user.pk
            # The user's, in whichever browser: a new password ends the sessions of all others.
            groups.append(revocation.group(visitor.user.pk))
        if settings.DEV_PHONE:
            groups.append(EVERY_PAGE)
        # Join first, then read: the worker is often faster than the browser, and a push to a group
        # that nobody has joined is gone. And join before accepting: only a refused handshake is tried again.
        for group in groups:
            await self.join(group)
        if cooldown_cookie.COOKIE in (cookies := _cookies(headers)):
            self.wait_until = asyncio.get_running_loop().time() + await read(
                cooldown_cookie.left, cookies, self.browser
            )
        found = await read(self.snapshot)
        if found is None:
            await self.close()
            return
        await self.accept()
        self.accepted = True
        HEARTBEAT.add(self)
        await self.present(found, "account", "delivery", "countdown", "connection")

    async def disconnect(self, code: int) -> None:
        """Stop the timers. The groups are left by `EventConsumer`."""
        self.stop()

    def stop(self) -> None:
        """Show nothing more: no countdown, no recheck."""
        self.ended = True
        self.count_down(0)
        if self.timer:
            self.timer.cancel()
        RECHECKS.remove(self)
        HEARTBEAT.remove(self)

    async def send_leaves(self, html: str) -> None:
        """Send leaves, unless the visitor has left in this instant."""
        with suppress(*GONE):
            await self.send(text_data=html)

    async def delivery_changed(self, event: Mapping[str, Any]) -> None:
        """Show where the SMS is. The event says only that it moved."""
        await self.show("delivery", "countdown", once=True)

    async def delivery_accepted(self, event: Mapping[str, Any]) -> None:
        """Show a new delivery once its row is there. A worker would tell soon, but it may be long in coming."""
        self.task = asyncio.ensure_future(self.follow())

    async def follow(self) -> None:
        """Look for the row until there is another delivery than before, a few times at most.

        Until then nothing is shown: an old state, shown again, would be newer than the answer to the request.
        """
        before = self.expires_at
        for pause in ROW_PAUSES_SECONDS:
            await asyncio.sleep(pause)
            if self.ended or self.expires_at != before:
                return
            self.enqueue(WRITTEN)

    async def delivery_written(self, event: Mapping[str, Any]) -> None:
        """Show it, if it is there."""
        await self.show("delivery", "countdown", other=True)

    async def wait_changed(self, event: Mapping[str, Any]) -> None:
        """Count for a number that another browser has asked for, or no longer: 0. No row of this browser tells."""
        self.wait_until = asyncio.get_running_loop().time() + event["seconds"]
        await self.show("delivery", "countdown", once=True)

    async def session_changed(self, event: Mapping[str, Any]) -> None:
        """Somebody logged in or out in another tab: say nothing more, and come back with the new cookies."""
        self.ended = True
        self.count_down(0)
        await asyncio.sleep(COOKIE_SECONDS)
        await self.renew()

    @property
    def path(self) -> str:
        """Where this socket is, as the page names it. Channels' router ignores how many slashes come first."""
        return f"/{self.scope['path'].lstrip('/')}"

    def may_enter(self, visitor: Visitor) -> bool:
        """Tell whether the page behind this socket is for this visitor."""
        return True

    def extra(self) -> str:
        """Return the leaves that only this page has. Runs in a reader's thread."""
        return ""

    async def show(self, *names: str, once: bool = False, other: bool = False) -> None:
        """Read the truth and send these leaves of it, unless the session has ended meanwhile.

        With `once`, what was shown last is not shown again: daphne keeps what a slow client has not read. With
        `other`, only another delivery than the one shown last is.
        """
        if self.ended:
            return
        found = await read(self.snapshot)
        if self.ended:
            return
        if found is None:
            await self.renew()
            return
        await self.present(found, *names, once=once, other=other)

    async def present(self, found: tuple[State, str], *names: str, once: bool = False, other: bool = False) -> None:
        """Send these leaves of what was read, and plan the next recheck."""
        state, extra = found
        if other and state.expires_at == self.expires_at:
            return
        if self.shown and state.expires_at != self.expires_at:
            self.wait_until = 0.0
        self.expires_at = state.expires_at
        state = state.waiting(self.wait_until - asyncio.get_running_loop().time())
        with translation.override(self.language):
            html = render.leaves(state, *names)
        self.count_down(state.wait)
        if not self.rechecks_itself:
            RECHECKS.add(self)
        words = hash(html + extra)
        if not once or words != self.shown:
            await self.send_leaves(html + extra)
            self.shown = words
        if self.timer:
            self.timer.cancel()
            self.timer = None
        pauses = [RECHECK_SECONDS] if self.rechecks_itself else []
        if state.unfinished:
            pauses.append(RECHECK_UNFINISHED_SECONDS)
        self.schedule_recheck(state.changes_in, *pauses)

    def snapshot(self) -> tuple[State, str] | None:
        """Return what this session may see now, None when it has ended. Runs in a reader's thread."""
        visitor = visitor_of_session(self.key)
        if visitor is None or not self.may_enter(visitor) or delivery.group(visitor.browser) != self.group:
            return None
        row = delivery.latest(visitor.browser)
        state = state_of_row(row, username=visitor.username, socket=self.path, connection="live")
        with translation.override(self.language):
            return state, self.extra()

    async def renew(self) -> None:
        """Make the page come back with its present cookies, and hear nothing more on this socket.

        The fresh #live in place of the old one makes htmx open a new socket. Only that one says who is
        signed in: this one may belong to somebody who planted the session before the login.
        """
        self.ended = True
        self.count_down(0)
        await self.send_leaves(render.leaves(State(socket=self.path), "live"))
        # The page hangs up by itself when it has read this. Hung up on in the same breath, a client may not read it.
        await asyncio.sleep(GOODBYE_SECONDS)
        with suppress(*GONE):
            await self.close()

    def count_down(self, seconds: float) -> None:
        """Count down from so many seconds, in place of what was counted before."""
        if self.countdown:
            self.countdown.stop()
        self.countdown = None
        if seconds > 0:
            self.countdown = Countdown(self.tick)
            self.countdown.start(seconds)

    async def tick(self, seconds: int) -> None:
        """Send one number of the countdown."""
        if not self.ended:
            await self.send_leaves(render.countdown(seconds, self.language))

    def schedule_recheck(self, moment: float, *pauses: float) -> None:
        """Recheck at the moment (seconds from now) at which the words change, 0 for never, or after a pause.

        The sooner counts. Spread, so that a crowd that came together does not come back together for ever.
        """
        waits = [pause * random.uniform(0.8, 1.2) for pause in pauses]  # noqa: S311
        if moment:
            waits.append(moment + random.uniform(*AFTER_SECONDS))  # noqa: S311
        if waits:
            self.timer = asyncio.get_running_loop().call_later(min(waits), self.enqueue, recheck.RECHECK)

    async def recheck(self, event: Mapping[str, Any]) -> None:
        """Show everything that may have changed. Where that fails the socket is closed: its session may be over."""
        await self.show("account", "delivery", "countdown")


HEARTBEAT = Heartbeat()
# Rechecks the pages of this process.
RECHECKS = recheck.Rechecks(read)


def _cookies(headers: dict[bytes, bytes]) -> dict[str, str]:
    """Return the cookies of a handshake."""
    return parse_cookie(headers.get(b"cookie", b"").decode("latin-1"))


def _language(headers: dict[bytes, bytes]) -> str:
    """Return the language of the page, chosen as for its request: the switch's cookie, then the browser's wish."""
    request = HttpRequest()
    request.COOKIES = _cookies(headers)
    request.META["HTTP_ACCEPT_LANGUAGE"] = headers.get(b"accept-language", b"").decode("latin-1")
    return translation.get_language_from_request(request)
