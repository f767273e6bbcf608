"""Which sockets of this process are in which group: one subscription each, however many sockets listen.

Channels would give every socket a channel of its own, with a queue, two tasks and a second subscription in Redis. Here
the process has one channel, which is in each group that somebody is in, and one task that hands out what comes.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Protocol

from channels.layers import get_channel_layer

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

# Seconds until it is tried again, when hearing itself fails: the layer does not raise because Redis is away.
AGAIN = 1.0


class Member(Protocol):
    """Who can be in a group."""

    def poke(self, event: Mapping[str, Any]) -> None:
        """Hear what was pushed, at once and without waiting for anything."""


class Groups:
    """The groups of this process. Everything happens in the event loop's thread."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._members: dict[str, set[Member]] = {}
        self._channel = ""
        self._opening = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def join(self, group: str, member: Member) -> None:
        """Have a member hear a group, from when this returns. Raises what Redis raises; then `leave` is still due."""
        # Before anything is awaited: who leaves meanwhile must not be the last one.
        self._members.setdefault(group, set()).add(member)
        channel = await self._open()
        await get_channel_layer().group_add(group, channel)

    async def leave(self, group: str, member: Member) -> None:
        """Have it hear no more of it. Raises what Redis raises, when nobody in this process hears of it any more."""
        members = self._members.get(group, set())
        members.discard(member)
        if not members and self._members.pop(group, None) is not None and self._channel:
            await get_channel_layer().group_discard(group, self._channel)

    async def _open(self) -> str:
        async with self._opening:
            if not self._channel:
                self._channel = await get_channel_layer().new_channel()
                self._task = asyncio.ensure_future(self._hear())
        return self._channel

    async def _hear(self) -> None:
        while True:
            try:
                event = await get_channel_layer().receive(self._channel)
                # A copy: who hears may leave.
                for member in tuple(self._members.get(event.get("group"), ())):
                    member.poke(event)
            except Exception:
                # Everybody's ear must not end with one message that cannot be read.
                logger.exception("a push was not handed out")
                await asyncio.sleep(AGAIN)


_groups: Groups | None = None


def here() -> Groups:
    """Return this process's groups. There is one event loop in it, daphne's."""
    global _groups
    if _groups is None:
        _groups = Groups()
    return _groups
