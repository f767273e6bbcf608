"""A crowd's handshakes: in line, a few at a time, refused fast or done in order; nobody else is held up."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from accounts.live.polls import Polls
from project.live import handshakes
from project.live.handshakes import TRY_AGAIN_LATER, Handshakes
from tests.support.numbers import number
from tests.support.raw import RawSocket
from tests.support.stack import BIN, Part, Stack, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CROWD = 300


class Site:
    """The application behind the line: it notes whose handshake it begins, and lets them in when it is told to."""

    def __init__(self) -> None:
        """Begin with a closed door."""
        self.begun: list[int] = []
        self.under_way = self.most = 0
        self.opens = asyncio.Event()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serve one socket until it has gone."""
        self.begun.append(scope["n"])
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            assert (await receive())["type"] == "websocket.connect"
            await self.opens.wait()
            await asyncio.sleep(0.001)
        finally:
            self.under_way -= 1
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass


class Client:
    """One socket's other end."""

    def __init__(self, line: Handshakes, n: int) -> None:
        """Ask to come in."""
        self.said: list[dict[str, Any]] = []
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._events.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.ensure_future(line({"type": "websocket", "n": n}, self._events.get, self._send))

    async def _send(self, event: dict[str, Any]) -> None:
        self.said.append(event)

    @property
    def is_in(self) -> bool:
        """Whether it was let in."""
        return {"type": "websocket.accept"} in self.said

    @property
    def is_refused(self) -> bool:
        """Whether it was told to come again later."""
        return {"type": "websocket.close", "code": TRY_AGAIN_LATER} in self.said

    async def leaves(self) -> None:
        """Go away, and wait until that is noticed."""
        self._events.put_nowait({"type": "websocket.disconnect", "code": 1001})
        await self.task


async def seen(what: Callable[[], object]) -> None:
    """Wait until something is so, while the loop goes on."""
    for _ in range(4000):
        if what():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came to that")


def is_empty(line: Handshakes) -> bool:
    """Tell whether a line counts nobody any longer."""
    return line.waiting == 0 and line.at_work == 0


def test_the_first_handshakes_are_finished_before_later_ones_are_begun() -> None:
    """T-63."""

    async def come() -> None:
        site = Site()
        line = Handshakes(site, at_work=8)
        clients = [Client(line, n) for n in range(CROWD)]
        await seen(lambda: line.waiting == CROWD - 8)
        assert site.begun == list(range(8))
        site.opens.set()
        await seen(lambda: all(client.is_in for client in clients))
        assert site.begun == list(range(CROWD))
        assert site.most == 8
        assert is_empty(line), "whoever is in holds no place"
        for client in clients:
            await client.leaves()
        assert is_empty(line)

    asyncio.run(come())


def test_whoever_left_while_they_waited_costs_nothing() -> None:
    """T-63: no work is done for a client that has gone, and the next one moves up."""

    async def come() -> None:
        site = Site()
        line = Handshakes(site, at_work=2)
        clients = [Client(line, n) for n in range(30)]
        await seen(lambda: line.waiting == 28)
        for n in range(2, 30, 2):
            await clients[n].leaves()
        site.opens.set()
        stayed = [0, 1, *range(3, 30, 2)]
        await seen(lambda: all(clients[n].is_in for n in stayed))
        assert site.begun == stayed
        assert not any(clients[n].said for n in range(2, 30, 2))
        assert is_empty(line)

    asyncio.run(come())


def test_who_leaves_in_the_moment_of_their_turn_hands_it_on() -> None:
    async def come() -> None:
        site = Site()
        line = Handshakes(site, at_work=1)
        first, second, third = (Client(line, n) for n in range(3))
        await seen(lambda: line.waiting == 2)
        # Both in one turn of the loop: the place is handed to the second, who has just gone.
        first.task.cancel()
        await asyncio.gather(first.task, second.leaves(), return_exceptions=True)
        site.opens.set()
        await seen(lambda: third.is_in)
        assert is_empty(line)

    asyncio.run(come())


def test_a_server_that_ends_leaves_no_place_taken() -> None:
    async def come() -> None:
        line = Handshakes(Site(), at_work=2)
        clients = [Client(line, n) for n in range(10)]
        await seen(lambda: line.waiting == 8)
        for client in reversed(clients):
            client.task.cancel()
        await asyncio.gather(*(client.task for client in clients), return_exceptions=True)
        assert is_empty(line)

    asyncio.run(come())


def test_a_handshake_that_fails_gives_its_place_back() -> None:
    async def fail(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        raise OSError("away")

    async def come() -> None:
        line = Handshakes(fail, at_work=2)
        clients = [Client(line, n) for n in range(20)]
        problems = await asyncio.gather(*(client.task for client in clients), return_exceptions=True)
        assert {type(problem) for problem in problems} == {OSError}
        assert is_empty(line)

    asyncio.run(come())


def test_beyond_the_bound_a_handshake_is_refused_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """T-63: so many that the last would wait for longer than ten seconds. It is logged once."""

    async def come() -> None:
        line = Handshakes(Site())
        most = round(handshakes.MOST_EXPECTED_SECONDS / handshakes.FIRST_PACE_SECONDS)
        clients = [Client(line, n) for n in range(handshakes.AT_WORK + most + 50)]
        await seen(lambda: sum(client.is_refused for client in clients) >= 40)
        refused = [n for n, client in enumerate(clients) if client.is_refused]
        assert refused[0] > most
        assert refused == list(range(refused[0], len(clients)))
        for client in clients:
            client.task.cancel()
        await asyncio.gather(*(client.task for client in clients), return_exceptions=True)
        assert is_empty(line)

    asyncio.run(come())
    assert caplog.text.count("handshakes are refused for now") == 1


def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """T-63: Redis hangs, say, and nothing moves."""
    monkeypatch.setattr(handshakes, "MOST_SECONDS", 0.2)

    async def come() -> None:
        line = Handshakes(Site(), at_work=2)
        clients = [Client(line, n) for n in range(10)]
        await seen(lambda: [client.is_refused for client in clients] == [False] * 2 + [True] * 8)
        assert line.waiting == 0
        for client in clients:
            client.task.cancel()
        await asyncio.gather(*(client.task for client in clients), return_exceptions=True)
        assert is_empty(line)

    asyncio.run(come())


def test_a_pages_polls_give_way_to_a_crowd_and_a_programs_do_not() -> None:
    """T-63: 503, and how long to stay away, not the same for all."""

    async def served(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def asks(application: Any, path: str, *headers: tuple[bytes, bytes]) -> tuple[int, bytes]:
        said: list[dict[str, Any]] = []

        async def send(event: dict[str, Any]) -> None:
            said.append(event)

        await application({"type": "http", "path": path, "headers": list(headers)}, None, send)
        return said[0]["status"], dict(said[0]["headers"]).get(b"retry-after", b"")

    async def come() -> None:
        line = Handshakes(Site())
        polls = Polls(served, line)
        htmx = (b"hx-request", b"true")
        assert await asks(polls, "/state/", htmx) == (200, b"")
        clients = [Client(line, n) for n in range(200)]
        await seen(lambda: line.waiting > 150)
        answers = [await asks(polls, "/state/", htmx) for _ in range(50)]
        assert {status for status, _ in answers} == {503}
        waits = {int(wait) for _, wait in answers}
        assert len(waits) > 1
        assert min(waits) >= 4
        assert await asks(polls, "/state/") == (200, b"")
        assert await asks(polls, "/code/", htmx) == (200, b"")
        for client in clients:
            client.task.cancel()
        await asyncio.gather(*(client.task for client in clients), return_exceptions=True)
        assert await asks(polls, "/state/", htmx) == (200, b"")

    asyncio.run(come())


# --- On a site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site as daphne runs it with no options."""
    with Stack(tmp_path_factory.mktemp("handshakes")) as stack:
        yield stack


def test_a_crowd_comes_in_at_once_and_codes_are_sent_meanwhile(site: Stack) -> None:
    """T-63: 300 handshakes in the same moment, each with a session of its own; the slowest takes longer than five
    seconds on a busy machine, which daphne by itself would not wait for."""
    pages = []
    for _ in range(CROWD):
        person = site.person()
        person.get()
        pages.append((RawSocket(site.ports[0]), person.http.cookies["sessionid"]))
        person.close()
    asker = site.person()
    asker.get()
    codes: list[tuple[int, float]] = []
    is_over = threading.Event()

    def ask() -> None:
        while not is_over.is_set():
            began = time.monotonic()
            codes.append((asker.ask(number()).status_code, time.monotonic() - began))
            time.sleep(0.1)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for raw, key in pages:
            raw.ask(("Origin", site.url), ("Cookie", f"sessionid={key}"))
        statuses = []
        for raw, _ in pages:
            raw.socket.settimeout(60)
            while b"\r\n\r\n" not in raw.said and (part := raw.socket.recv(4096)):
                raw.said += part
            statuses.append(raw.said[9:12])
        assert set(statuses) == {b"101"}
        for raw, _ in pages:
            while b'id="connection"' not in raw.said:
                raw.said += raw.socket.recv(65536)
    finally:
        is_over.set()
        asking.join()
        for raw, _ in pages:
            raw.socket.close()
    assert codes
    assert {status for status, _ in codes} <= {202}
    assert "Traceback" not in site.webs[0].text()


def test_a_hundred_connections_wait_for_a_server_that_is_busy(site: Stack) -> None:
    """T-63: by itself daphne lets 50, and the system drops the others."""
    site.hang(site.webs[0])
    waiting: list[RawSocket] = []
    try:
        # Each raises when it is not taken within five seconds.
        waiting.extend(RawSocket(site.ports[0]) for _ in range(100))
    finally:
        site.webs[0].signal(signal.SIGCONT)
        for raw in waiting:
            raw.socket.close()
    assert site.get("/healthz").status_code == 200


def test_who_shall_come_later_is_told_so_by_daphne(site: Stack, tmp_path: Path) -> None:
    """503 and Retry-After, where daphne itself knows only 403."""
    port = free_port()
    command = [str(BIN / "daphne"), "-v", "0", "-p", str(port), "tests.support.later:application"]
    web = Part("later", command, site.environment, tmp_path / "later.log")
    web.start()

    def is_listening() -> bool:
        try:
            with RawSocket(port):
                return True
        except OSError:
            return False

    try:
        wait_until(is_listening, 60)
        with RawSocket(port) as raw:
            assert raw.handshake(("Origin", site.url)) == 503
            head = raw.said.decode().lower()
            assert "retry-after: " in head
            assert raw.is_ended()
    finally:
        web.kill()
    assert "Traceback" not in web.text()
