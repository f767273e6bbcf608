"""A page's consumer as a Channels user meets it: driven by Channels' own communicator, and subclassed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator
from django.conf import settings as django_settings

from accounts.consumers import PageConsumer
from accounts.routing import websocket
from accounts.sessions import SessionStore, browser_id
from project.live.push import push
from project.run import valkey
from tasks import delivery
from tests.support.person import leaves

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.django_db(transaction=True)


class NotesConsumer(PageConsumer):
    """What docs/own-site.md shows: a page that hears of a group of its own."""

    groups = ["notes"]

    def extra(self) -> str:
        """Return the page's own leaf."""
        return '<p id="notes" hx-swap-oob="true">Three notes</p>'

    async def notes_changed(self, event: Mapping[str, Any]) -> None:
        """Show the notes as they are now."""
        await self.show("account")


@pytest.fixture
def cookie(settings: Any) -> str:
    """The session of a visitor whose page was shown, and a Valkey."""
    valkey.ensure(settings.VAR_DIR)
    session = SessionStore()
    browser_id.plant(session)
    session.save()
    return f"{settings.SESSION_COOKIE_NAME}={session.session_key}"


def comes(application: Any, cookie: str, path: str = "/ws/") -> WebsocketCommunicator:
    """Return a client of an application."""
    return WebsocketCommunicator(application, path, headers=[(b"cookie", cookie.encode())])


async def pushed(group: str, event: str) -> None:
    """Push as a view or the worker does."""
    await asyncio.to_thread(push, group, event)


def members(group: str) -> int:
    """Return how many consumers of this loop are in a group."""
    layer = get_channel_layer()._get_layer()
    return len(layer.groups.get(f"{django_settings.KEY_PREFIX}__group__{group}", ()))


def test_a_page_holds_a_conversation_with_channels_communicator(cookie: str) -> None:
    """It is let in, told everything, hears a push, is deaf to its client, and leaves its groups."""
    assert issubclass(PageConsumer, AsyncWebsocketConsumer)
    session = SessionStore(cookie.partition("=")[2])
    group = delivery.group(str(browser_id.of(session)))

    async def talk() -> None:
        page = comes(websocket, cookie)
        assert await page.connect(timeout=10) == (True, None)
        assert set(leaves(await page.receive_from(10))) >= {"account", "delivery", "countdown", "connection"}
        assert members(group) == 1
        await page.send_to('{"type": "session.changed"}')
        assert await page.receive_nothing(0.3)
        await pushed(group, "session.changed")
        assert set(leaves(await page.receive_from(10))) == {"live"}
        assert (await page.receive_output(10))["type"] == "websocket.close"
        await page.disconnect()
        assert members(group) == 0

    asyncio.run(talk())


def test_without_a_session_or_at_an_unknown_path_nobody_is_let_in(cookie: str) -> None:
    async def knock(who: str, path: str) -> bool:
        page = comes(websocket, who, path)
        connected, _code = await page.connect(timeout=10)
        await page.disconnect()
        return bool(connected)

    assert asyncio.run(knock(cookie, "/ws/")), "or this test means nothing"
    assert not asyncio.run(knock("sessionid=made-up", "/ws/"))
    for path in ("/ws", "/ws/other/", "/"):
        assert not asyncio.run(knock(cookie, path)), path


def test_a_sites_own_consumer_hears_its_own_group_and_shows_its_own_leaf(cookie: str) -> None:
    async def talk() -> None:
        notes, other = comes(NotesConsumer.as_asgi(), cookie), comes(PageConsumer.as_asgi(), cookie)
        for page in (notes, other):
            assert await page.connect(timeout=10) == (True, None)
        assert "notes" in leaves(await notes.receive_from(10))
        assert "notes" not in leaves(await other.receive_from(10))
        await pushed("notes", "notes.changed")
        assert "Three notes" in await notes.receive_from(10)
        assert await other.receive_nothing(0.3)
        # Channels' own way to send does the same.
        await get_channel_layer().group_send("notes", {"type": "notes.changed"})
        assert "Three notes" in await notes.receive_from(10)
        for page in (notes, other):
            await page.disconnect()
        assert members("notes") == 0
        assert NotesConsumer.groups == ["notes"]

    asyncio.run(talk())
