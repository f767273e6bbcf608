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

from autobahn.exception import Disconnected
from channels.db import DatabaseSyncToAsync
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.db import Error as DatabaseError
from django.http import HttpRequest, parse_cookie
from django.template.loader import render_to_string
from django.utils import translation

from accounts import live, revoke
from accounts.door import session_key
from accounts.ticker import Ticker
from project import redis
from tasks import debug, delivery
from tasks.gateways import phone

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

# Channels would run every database read of all sockets in one thread, where one slow query stops them all.
READERS = ThreadPoolExecutor(max_workers=4, thread_name_prefix="socket-reader")
# Seconds between two looks at the session and the rows when no event comes: a push may be lost, a session may
# end in silence, and a page must not be wrong for longer than ten seconds. Sooner while a delivery is on its way.
RECHECK = 8
RECHECK_UNFINISHED = 5
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
    return await DatabaseSyncToAsync(function, thread_sensitive=False, executor=READERS)(*args)


class PageConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """Keeps the header, the delivery and the countdown of one page true."""

    # Groups besides the browser's own, for pages that show more.
    more_groups: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        """Begin as nobody's socket."""
        super().__init__()
        self.group = ""
        # That one and all others that it hears.
        self.joined: list[str] = []
        self.accepted = False
        self.messages = 0
        self.shown_out = False
        # What was shown last.
        self.shown = ""
        self.timer: asyncio.TimerHandle | None = None
        self.ticker = Ticker(self.tick)
        # By the loop's clock: until then a number that another browser has asked for must wait.
        self.wait_until = 0.0
        self.ended = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve the socket. While Redis or the database is away it is closed: the page polls, and comes back."""
        events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        listening = asyncio.ensure_future(self.listen(receive, events))
        try:
            await super().__call__(scope, events.get, send)
        except AWAY as error:
            logger.warning("a socket was closed: %s", type(error).__name__)
            await self.disconnect(1011)
            # Channels sets this only after it has reached Redis.
            self.base_send = send
            if self.accepted:
                await self.renew()
            else:
                await self.close()
        finally:
            listening.cancel()

    async def listen(self, receive: Any, events: asyncio.Queue[dict[str, Any]]) -> None:
        """Pass on that the socket opens and ends. What the client says is counted and dropped as it comes.

        By a task of its own: daphne reads as fast as a client writes and queues it all, so that while a consumer reads
        the database a flood would fill the memory. And on each message Channels would ask a thread to look after the
        database's connections.
        """
        while True:
            event = await receive()
            if event["type"] == "websocket.receive":
                await self.hear(event.get("text") or event.get("bytes") or "")
            else:
                events.put_nowait(event)

    async def hear(self, said: str | bytes) -> None:
        """Show a client out that goes on talking or says much. What it says then is read for a second and ignored."""
        self.messages += 1
        if not self.shown_out and (self.messages > MESSAGES or len(said) > MESSAGE_SIZE):
            self.shown_out = self.ended = True
            with suppress(Disconnected):
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
        self.group = delivery.group(visitor.browser)
        self.joined = [self.group, *self.more_groups]
        if visitor.user:
            # The user's, in whichever browser: a new password ends the sessions of all others.
            self.joined.append(revoke.group(visitor.user.pk))
        # Join first, then read: the worker is often faster than the browser, and a push to a group
        # that nobody has joined is gone. And join before accepting: only a refused handshake is tried again.
        for group in self.joined:
            await self.channel_layer.group_add(group, self.channel_name)
        await self.accept()
        self.accepted = True
        await self.show("account", "delivery", "countdown", "connection")

    async def disconnect(self, code: int) -> None:
        """Leave nothing behind."""
        self.ended = True
        self.ticker.stop()
        if self.timer:
            self.timer.cancel()
        for group in self.joined:
            # It is gone from this process's list before Redis is told.
            with suppress(*AWAY):
                await self.channel_layer.group_discard(group, self.channel_name)

    async def tell(self, html: str) -> None:
        """Send leaves, unless the visitor has left in this instant."""
        with suppress(Disconnected):
            await self.send(text_data=html)

    async def delivery_changed(self, event: dict[str, Any]) -> None:
        """Show where the SMS is. The event says only that it moved."""
        await self.show("delivery", "countdown", once=True)

    async def wait_began(self, event: dict[str, Any]) -> None:
        """Count for a number that another browser has asked for. No row of this browser knows of it."""
        self.wait_until = asyncio.get_running_loop().time() + event["seconds"]
        self.ticker.start(event["seconds"])

    async def session_changed(self, event: dict[str, Any]) -> None:
        """Somebody logged in or out in another tab."""
        await self.renew()

    def may_enter(self, visitor: live.Visitor) -> bool:
        """Tell whether the page behind this socket is for this visitor."""
        return True

    def extra(self) -> str:
        """Return the leaves that only this page has. Runs in a reader's thread."""
        return ""

    async def show(self, *names: str, once: bool = False) -> None:
        """Read the truth and send these leaves of it, unless the session has ended meanwhile.

        With `once`, what was shown last is not shown again: daphne keeps what a slow client has not read.
        """
        if self.ended:
            return
        found = await read(self.snapshot)
        if self.ended:
            return
        if found is None:
            await self.renew()
            return
        state, extra = found
        state = state.waiting(self.wait_until - asyncio.get_running_loop().time())
        with translation.override(self.language):
            html = live.leaves(state, *names)
        self.ticker.start(state.wait)
        if not once or html + extra != self.shown:
            await self.tell(html + extra)
            self.shown = html + extra
        self.look_again(RECHECK_UNFINISHED if state.unfinished else RECHECK)

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
        with suppress(Disconnected):
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
        self.timer = loop.call_later(seconds * random.uniform(0.8, 1.2), self._look)  # noqa: S311

    def _look(self) -> None:
        self.task = asyncio.ensure_future(self.look())

    async def look(self) -> None:
        """Show everything that may have changed. A socket that cannot look is closed: it might outlive its session."""
        try:
            await self.show("account", "delivery", "countdown")
        except AWAY as error:
            logger.warning("a socket was closed: %s", type(error).__name__)
            await self.renew()


class PhoneConsumer(PageConsumer):
    """The dev phone's page."""

    more_groups = (phone.GROUP,)

    def may_enter(self, visitor: live.Visitor) -> bool:
        """Let everybody in who develops, and nobody else."""
        return bool(settings.DEBUG and settings.DEV_PHONE)

    def extra(self) -> str:
        """Return the messages and the switches."""
        mode = phone.current_mode()
        context = {"messages": phone.messages(), "mode": mode.mode, "times": mode.times, "oob": True}
        return "".join(render_to_string(f"dev/phone.html#{name}", context) for name in ("messages", "mode"))

    async def phone_changed(self, event: dict[str, Any]) -> None:
        """Show what has arrived."""
        await self.show("delivery", "countdown")


class QueueConsumer(PageConsumer):
    """The queue's self-test page."""

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

    async def progress_changed(self, event: dict[str, Any]) -> None:
        """Show how far the worker has counted."""
        self.pushed_at = time.time()
        await self.show("account")


def _language(headers: dict[bytes, bytes]) -> str:
    """Return the language of the page, chosen as for its request: the switch's cookie, then the browser's wish."""
    request = HttpRequest()
    request.COOKIES = parse_cookie(headers.get(b"cookie", b"").decode("latin-1"))
    request.META["HTTP_ACCEPT_LANGUAGE"] = headers.get(b"accept-language", b"").decode("latin-1")
    return translation.get_language_from_request(request)
