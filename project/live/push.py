"""Pushes from views and workers to open pages: a group's name and a fact, no content.

A push is a hint: it may be lost, and it never fails the one who sends it. Nor does it hold them up: whoever pushes
writes the command and goes on, and the next push reads the answer. A round trip would cost three times as much, and
in a busy process a wait for the interpreter besides.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Any

from channels.layers import get_channel_layer
from django.conf import settings
from django.http import HttpResponse

from project import outage, redis

logger = logging.getLogger(__name__)

# Seconds without an answer after which another connection is tried. Without that, one whose other end is gone without
# a word would take pushes for a quarter of an hour, until TCP gives it up.
SILENCE_SECONDS = 2.0


class PublishConnection(threading.local):
    """A thread's own connection, on which it waits for no answer. Threads that shared one would wait for each other."""

    # Whose it is: a fork has its parent's, and two on one socket would be told each other's answers.
    process = 0
    _connection: Any = None
    # Commands whose answer has not been read, and since when there was none.
    _open = 0
    _since = 0.0

    def publish(self, channel: str, message: bytes) -> None:
        """Write a PUBLISH. Raises redis.Unavailable; an earlier one's trouble is only logged."""
        if self.process != os.getpid():
            self.process, self._connection, self._open = os.getpid(), redis.connection(), 0
        try:
            self._read()
            try:
                self._connection.send_command("PUBLISH", channel, message)
            except redis.Lost as error:
                # Closed by the other side a moment ago. What arrives twice is no harm.
                self._give_up(error)
                self._connection.send_command("PUBLISH", channel, message)
            if not self._open:
                self._since = time.monotonic()
            self._open += 1
        except BaseException as error:
            self._give_up(error)
            raise

    def _read(self) -> None:
        """Read the answers that have come. This is also how a connection that the server has closed is found out."""
        try:
            while self._connection.is_connected and self._connection.can_read():
                self._connection.read_response()
                self._open -= 1
                self._since = time.monotonic()
            if self._open and time.monotonic() - self._since > SILENCE_SECONDS:
                raise redis.Silent(f"no answer for {SILENCE_SECONDS:.0f} s")
        except redis.Unavailable as error:
            self._give_up(error)

    def _give_up(self, error: BaseException) -> None:
        if self._open:
            logger.warning("%d pushes may be lost: %s", self._open, outage.name(error))
        self._open = 0
        self._connection.disconnect()


_connection = PublishConnection()


def push(group: str, event: str, **facts: float) -> None:
    """Tell every socket of a group what has happened, such as `delivery.changed`. Never raises.

    Channels' public way is `async_to_sync(layer.group_send)`. It needs an event loop and opens a connection for each
    call from a worker's thread. The pub/sub layer's message is one PUBLISH, so that is what is sent.

    Saves: 29 of 30 parts of a push's processor time (`python -m bench --only pushes`), and a connection for each push.
    Breaks if: the layer names a group's channel or serialises a message in another way. Held by
    tests/project/test_hooks.py.
    """
    try:
        _connection.publish(*published(group, event, **facts))
    except redis.Unavailable as error:
        logger.warning("push of %s was not sent: %s", event, outage.name(error))


def published(group: str, event: str, **facts: float) -> tuple[str, bytes]:
    """Return the channel and the message that `push` publishes, for a script that publishes them itself."""
    message: bytes = get_channel_layer().serialize({"type": event, **facts})
    return f"{settings.KEY_PREFIX}__group__{group}", message


def push_after(response: HttpResponse, group: str, event: str) -> HttpResponse:
    """Push once this answer has left, and return it: before that, pages would come back with their old cookies."""
    close = response.close

    def close_and_push() -> None:
        close()
        push(group, event)

    response.close = close_and_push  # type: ignore[method-assign]
    return response
