"""The one socket of a page: it joins its browser's group, reads the truth, and sends the page's own leaves.

Nothing that a client sends reaches a handler, and no id comes from it: who it is stands in its session alone.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections
from django.http import HttpRequest, parse_cookie
from django.template.loader import render_to_string
from django.utils import translation

from accounts import sessions
from accounts.codes import cooldown_cookie
from accounts.live import recheck, revocation
from accounts.live import state as live
from accounts.live.connection_limits import session_key
from accounts.live.countdown import Ticker
from project import redis
from project.live.socket import GONE, Socket
from tasks import debug, delivery
from tasks.gateways import phone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

logger = logging.getLogger(__name__)

# Channels would run every database read of all sockets in one thread, where one slow query stops them all.
READERS = ThreadPoolExecutor(max_workers=4, thread_name_prefix="socket-reader")
# Seconds between two looks at a page whose words change by themselves. Sooner while a delivery is on its way. Others
# are looked at together: accounts/live/recheck.py.
RECHECK = recheck.EVERY
RECHECK_UNFINISHED = 5
# Seconds between looks for a row that is just being written: its message is faster than its commit.
SOON = (0.004, 0.01, 0.04, 0.25, 1.0)
WRITTEN = {"type": "delivery.written"}
# Seconds that the browser has to take the cookies of that answer: with the old ones a page would be refused.
COOKIES = 0.1
# Our page sends nothing. What a client may send before it is shown out.
MESSAGES = 10
# Bytes, or letters.
MESSAGE_SIZE = 4096
# 1008 (policy) among the codes for private use: daphne sends 1000 and those from 3000 on, and fails on any other.
POLICY = 4008
# Seconds that a page has to hang up by itself.
GOODBYE = 0.5
# What a missing part raises: Redis or the database, or the way to them.
AWAY = (redis.Unavailable, DatabaseError, OSError)


async def read(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function that reads the database, in a thread of the sockets' own."""
    return await asyncio.get_running_loop().run_in_executor(READERS, _reading, function, args)


def _reading(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    # As around a request.
    close_old_connections()
    try:
        return function(*args)
    finally:
        close_old_connections()


class PageConsumer(Socket):
    """Keeps the header, the delivery and the countdown of one page true."""

    away = AWAY
    # Groups besides the browser's own, for pages that show more.
    more_groups: ClassVar[tuple[str, ...]] = ()
    # For pages that show what is in no row.
    looks_by_itself: ClassVar[bool] = False

    def __init__(self) -> None:
        """Begin as nobody's socket."""
        super().__init__()
        self.group = ""
        self.key = self.session = self.browser = ""
        self.user = 0
        self.seen: int | None = None
        self.accepted = False
        self.messages = 0
        self.shown_out = False
        # What was shown last, as a number: the words of thousands of pages are megabytes. 0: nothing yet.
        self.shown = 0
        self.timer: asyncio.TimerHandle | None = None
        self.ticker = Ticker(self.tick)
        # By the loop's clock: until then a number must wait of which no row of this browser tells.
        self.wait_until = 0.0
        # When the last request's code ends. A newer request leaves that wait behind.
        self.expires_at: datetime | None = None
        self.ended = False

    async def lost(self, error: Exception) -> None:
        """While Redis or the database is away, close: the page polls, and comes back."""
        logger.warning("a socket was closed: %s", type(error).__name__)
        await self.disconnect(1011)
        if self.accepted:
            await self.renew()
        else:
            await self.close()

    async def hear(self, said: str | bytes) -> None:
        """Show a client out that goes on talking or says much. What it says then is read for a second and ignored."""
        self.messages += 1
        if not self.shown_out and (self.messages > MESSAGES or len(said) > MESSAGE_SIZE):
            self.shown_out = self.ended = True
            await self.close(POLICY)

    async def connect(self) -> None:
        """Let in whoever has a living session; others get 403, come back later, and poll meanwhile."""
        headers = dict(self.scope["headers"])
        self.key = session_key(headers)
        self.language = _language(headers)
        visitor = await read(live.of_session, self.key) if self.key else None
        if visitor is None or not self.may_enter(visitor):
            await self.close()
            return
        self.session, self.browser = sessions.hashed(self.key), visitor.browser
        self.group = delivery.group(visitor.browser)
        groups = [self.group, *self.more_groups]
        if visitor.user:
            self.user = visitor.user.pk
            # The user's, in whichever browser: a new password ends the sessions of all others.
            groups.append(revocation.group(visitor.user.pk))
        # Join first, then read: the worker is often faster than the browser, and a push to a group
        # that nobody has joined is gone. And join before accepting: only a refused handshake is tried again.
        for group in groups:
            await self.join(group)
        # To a Redis that has just died one can still subscribe, and would hear nothing. By a thread of nobody's: a hung
        # one is waited for.
        await asyncio.to_thread(redis.client().ping)
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
        await self.present(found, "account", "delivery", "countdown", "connection")

    async def disconnect(self, code: int) -> None:
        """Leave nothing behind."""
        self.ended = True
        self.ticker.stop()
        if self.timer:
            self.timer.cancel()
        ROUNDS.remove(self)
        await self.leave()

    async def tell(self, html: str) -> None:
        """Send leaves, unless the visitor has left in this instant."""
        with suppress(*GONE):
            await self.send(html)

    async def delivery_changed(self, event: Mapping[str, Any]) -> None:
        """Show where the SMS is. The event says only that it moved."""
        await self.show("delivery", "countdown", once=True)

    async def delivery_accepted(self, event: Mapping[str, Any]) -> None:
        """Show a new delivery once its row is there. A worker would tell soon, but it may be long in coming."""
        self.task = asyncio.ensure_future(self.follow())

    async def follow(self) -> None:
        """Look until there is another delivery than before, a few times at most.

        Until then nothing is shown: an old state, shown again, would be newer than the answer to the request.
        """
        before = self.expires_at
        for pause in SOON:
            await asyncio.sleep(pause)
            if self.ended or self.expires_at != before:
                return
            self.poke(WRITTEN)

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
        self.ticker.stop()
        await asyncio.sleep(COOKIES)
        await self.renew()

    def may_enter(self, visitor: live.Visitor) -> bool:
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

    async def present(
        self, found: tuple[live.State, str], *names: str, once: bool = False, other: bool = False
    ) -> None:
        """Send these leaves of what was read, and see to it that the page is looked at again."""
        state, extra = found
        if other and state.expires_at == self.expires_at:
            return
        if self.shown and state.expires_at != self.expires_at:
            self.wait_until = 0.0
        self.expires_at = state.expires_at
        state = state.waiting(self.wait_until - asyncio.get_running_loop().time())
        with translation.override(self.language):
            html = live.leaves(state, *names)
        self.ticker.start(state.wait)
        if not self.looks_by_itself:
            ROUNDS.add(self)
        words = hash(html + extra)
        if not once or words != self.shown:
            await self.tell(html + extra)
            self.shown = words
        if self.timer:
            self.timer.cancel()
            self.timer = None
        if not (state.unfinished or state.pace or self.looks_by_itself):
            return
        pause: float = RECHECK_UNFINISHED if state.unfinished else RECHECK
        # Not before that moment: "next in 5 s" would be heard once more, as "in 1 s".
        pause = max(pause, 1.3 * (state.retry_in + 1)) if state.retry_in else pause
        # And when it begins to be slow; a second late, for the look itself is spread.
        self.look_again(min(pause, state.slow_in + 1) if state.slow_in else pause)

    def snapshot(self) -> tuple[live.State, str] | None:
        """Return what this session may see now, None when it has ended. Runs in a reader's thread."""
        visitor = live.of_session(self.key)
        if visitor is None or not self.may_enter(visitor) or delivery.group(visitor.browser) != self.group:
            return None
        row = delivery.latest(visitor.browser)
        state = live.of_row(row, username=visitor.username, socket=self.scope["path"], connection="live")
        with translation.override(self.language):
            return state, self.extra()

    async def renew(self) -> None:
        """Make the page come back with its present cookies, and hear nothing more on this socket.

        The fresh #live in place of the old one makes htmx open a new socket. Only that one says who is
        signed in: this one may belong to somebody who planted the session before the login.
        """
        self.ended = True
        self.ticker.stop()
        await self.tell(live.leaves(live.State(socket=self.scope["path"]), "live"))
        # The page hangs up by itself when it has read this. Hung up on in the same breath, a client may not read it.
        await asyncio.sleep(GOODBYE)
        with suppress(*GONE):
            await self.close()

    async def tick(self, seconds: int) -> None:
        """Send one number of the countdown."""
        if not self.ended:
            await self.tell(live.countdown(seconds, self.language))

    def look_again(self, seconds: float) -> None:
        """Look again after a while, in place of what was planned. Spread, so that a restart is not felt for ever."""
        if self.timer:
            self.timer.cancel()
        loop = asyncio.get_running_loop()
        self.timer = loop.call_later(seconds * random.uniform(0.8, 1.2), self.poke, recheck.LOOK)  # noqa: S311

    async def look(self, event: Mapping[str, Any]) -> None:
        """Show everything that may have changed. A socket that cannot look is closed: it might outlive its session."""
        await self.show("account", "delivery", "countdown")


# The looks at all pages of this process.
ROUNDS = recheck.Rounds(read)


class PhoneConsumer(PageConsumer):
    """The dev phone's page."""

    looks_by_itself = True
    more_groups = (phone.GROUP,)

    def may_enter(self, visitor: live.Visitor) -> bool:
        """Let everybody in who develops, and nobody else."""
        return bool(settings.DEBUG and settings.DEV_PHONE)

    def extra(self) -> str:
        """Return the messages and the switches."""
        mode = phone.current_mode()
        context = {"messages": phone.messages(), "mode": mode.mode, "times": mode.times, "oob": True}
        return "".join(render_to_string(f"dev/phone.html#{name}", context) for name in ("messages", "mode"))

    async def phone_changed(self, event: Mapping[str, Any]) -> None:
        """Show what has arrived."""
        await self.show("delivery", "countdown")


class QueueConsumer(PageConsumer):
    """The queue's self-test page."""

    looks_by_itself = True
    more_groups = (debug.GROUP,)

    def __init__(self) -> None:
        """Begin without having heard of a run."""
        super().__init__()
        # Unix time of a push that is not shown yet, 0 when there is none.
        self.pushed_at = 0.0
        # How long the last push was under way.
        self.pushed_ms: int | None = None

    def may_enter(self, visitor: live.Visitor) -> bool:
        """Let staff in, and under DEBUG everybody."""
        return bool(settings.DEBUG or (visitor.user and visitor.user.is_staff))

    def extra(self) -> str:
        """Return the bar."""
        run = debug.current()
        if run is None or not run.done:
            self.pushed_ms = None
        elif self.pushed_at:
            self.pushed_ms = max(0, round((self.pushed_at - run.counted_at) * 1000))
        self.pushed_at = 0.0
        return render_to_string("dev/queue.html#progress", {"test": run, "pushed_ms": self.pushed_ms, "oob": True})

    async def progress_changed(self, event: Mapping[str, Any]) -> None:
        """Show how far the worker has counted."""
        self.pushed_at = time.time()
        await self.show("account")


def _cookies(headers: dict[bytes, bytes]) -> dict[str, str]:
    """Return the cookies of a handshake."""
    return parse_cookie(headers.get(b"cookie", b"").decode("latin-1"))


def _language(headers: dict[bytes, bytes]) -> str:
    """Return the language of the page, chosen as for its request: the switch's cookie, then the browser's wish."""
    request = HttpRequest()
    request.COOKIES = _cookies(headers)
    request.META["HTTP_ACCEPT_LANGUAGE"] = headers.get(b"accept-language", b"").decode("latin-1")
    return translation.get_language_from_request(request)
