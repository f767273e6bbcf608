"""The sockets under attack: too many, too large, too fast, too slow. Others are served meanwhile, memory is flat."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from channels.layers import get_channel_layer
from django.conf import settings

from project.run.runner import DAPHNE
from tests.support.numbers import number
from tests.support.person import Person
from tests.support.raw import RawSocket, frame
from tests.support.stack import Stack, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

PER_SESSION, PER_ADDRESS, ALL = 20, 60, 70
MEGABYTE = 1024
# daphne's pings here: a client that is silent for so long is given up.
QUICK = ["--ping-interval", "1", "--ping-timeout", "2"]
dice = random.Random(55)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site behind one proxy, with the options that `make run` gives to daphne. The second server pings often."""
    stack = Stack(
        tmp_path_factory.mktemp("limits"),
        webs=2,
        TRUSTED_PROXIES="1",
        SOCKETS_PER_SESSION=str(PER_SESSION),
        SOCKETS_PER_ADDRESS=str(PER_ADDRESS),
        SOCKETS=str(ALL),
    )
    for web, port, more in zip(stack.webs, stack.ports, ([], QUICK), strict=True):
        web.command = [web.command[0], "-p", str(port), *DAPHNE[:-1], *more, DAPHNE[-1]]
    with stack:
        yield stack


def address() -> str:
    """Return an address that nobody has used, as our proxy writes it down."""
    return ".".join(str(dice.randrange(1, 255)) for _ in range(4))


def visitor(site: Stack, at: str = "") -> Person:
    """Return somebody from an address of their own, or from this one."""
    person = site.person()
    person.http.headers["X-Forwarded-For"] = at or address()
    return person


class Crowd:
    """Whoever holds sockets open, until the end of a test."""

    def __init__(self, site: Stack) -> None:
        """Begin with none."""
        self.site = site
        self.open: list[RawSocket] = []

    def comes(self, session: str, forwarded: str, *, port: int = 0, origin: str = "") -> int:
        """Open a socket with a session's cookie, from an address, and return the status of the handshake."""
        raw = RawSocket(port or self.site.ports[0])
        self.open.append(raw)
        cookies = [("Cookie", f"sessionid={session}"), ("X-Forwarded-For", forwarded)]
        status = raw.handshake(("Origin", origin or self.site.url), *cookies)
        if status != 101:
            raw.socket.close()
            self.open.remove(raw)
        return status

    def goes(self) -> None:
        """Close one that is open."""
        self.open.pop().socket.close()


@pytest.fixture
def crowd(site: Stack) -> Iterator[Crowd]:
    """The sockets of one test."""
    crowd = Crowd(site)
    yield crowd
    while crowd.open:
        crowd.goes()


def session(site: Stack) -> str:
    """Return the key of a fresh session."""
    person = site.person()
    person.get()
    return person.http.cookies["sessionid"]


def talker(site: Stack, person: Person, *, port: int = 0, buffer: int = 0) -> RawSocket:
    """Open a socket byte for byte, for somebody who is going to misbehave."""
    raw = RawSocket(port or site.ports[0], buffer=buffer)
    person.get()
    cookies = [("Cookie", f"sessionid={person.http.cookies['sessionid']}"), ("X-Forwarded-For", address())]
    assert raw.handshake(("Origin", site.url), *cookies) == 101
    return raw


def push(site: Stack, group: str) -> int:
    """Push as the worker does, and return how many servers listen."""
    message = get_channel_layer().serialize({"type": "delivery.changed", "group": group})
    return int(site.redis.publish(f"{settings.KEY_PREFIX}__group__{group}", message))


def own_group(site: Stack, mobile: str) -> str:
    """Return the group of the browser that asked for a number last."""
    rows = site.rows("SELECT browser FROM tasks_delivery WHERE mobile = ? ORDER BY created_at", f"+86{mobile}")
    return f"browser.{rows[-1]['browser']}"


def kilobytes(pid: int, what: str) -> int:
    """Return what a process says of its memory: VmRSS is what it has, VmHWM the most that it had."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(f"{what}:")]
    return int(line.split()[1])


@contextmanager
def bounded(pid: int, megabytes: int) -> Iterator[None]:
    """Hold that a process never has so much more memory than now."""
    # Makes the most that it had what it has now.
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    before = kilobytes(pid, "VmRSS")
    yield
    grown = kilobytes(pid, "VmHWM") - before
    assert grown < megabytes * MEGABYTE, f"{grown} kB more"


@pytest.fixture(autouse=True)
def logged(site: Stack) -> list[int]:
    """How much each server had logged when the test began."""
    return [len(web.text()) for web in site.webs]


def is_served(site: Stack, logged: list[int]) -> None:
    """Hold that an ordinary visitor is served by page and socket, and that nothing was logged as our own fault."""
    person = visitor(site)
    tab = person.open(**{"X-Forwarded-For": address()})
    tab.wait_for("connection", state="live")
    assert person.ask(number()).status_code == 202
    tab.wait_for("delivery", state="sent")
    tab.close()
    assert person.get().status_code == 200
    for web, before in zip(site.webs, logged, strict=True):
        assert "Traceback" not in web.text()[before:]
        assert "ERROR" not in web.text()[before:]


# --- Too many


def test_one_session_has_so_many_sockets_and_no_more(site: Stack, crowd: Crowd) -> None:
    """T-55: the page too many is refused, and polls; another browser at the same address comes in."""
    own, other, here = session(site), session(site), address()
    assert [crowd.comes(own, here) for _ in range(PER_SESSION)] == [101] * PER_SESSION
    assert [crowd.comes(own, here) for _ in range(30)] == [403] * 30
    assert crowd.comes(own, address()) == 403, "another address makes no other session"
    assert crowd.comes(other, here) == 101
    crowd.goes()
    poll = visitor(site, here).http.get("/state/", headers={"Cookie": f"sessionid={own}"})
    assert poll.status_code == 200
    assert 'id="delivery"' in poll.text
    crowd.goes()
    wait_until(lambda: crowd.comes(own, here) == 101, what="there is room again")
    assert site.webs[0].text().count("sockets are refused: session") == 1, "said once, and not at each"


def test_one_address_has_so_many_sockets_whatever_its_sessions(site: Stack, crowd: Crowd, logged: list[int]) -> None:
    """T-55, T-5: an IPv6 visitor has a whole /64 of addresses; and what a visitor writes into the header is nothing."""
    sessions = [session(site) for _ in range(PER_ADDRESS // PER_SESSION + 1)]
    for own in sessions[:-1]:
        for _ in range(PER_SESSION):
            assert crowd.comes(own, f"2001:db8:55:55::{dice.randrange(1, 65535):x}") == 101
    last = sessions[-1]
    assert crowd.comes(last, "2001:db8:55:55::1") == 403
    assert crowd.comes(last, "2001:db8:55:56::1, 2001:db8:55:55:ffff::2") == 403
    assert crowd.comes(last, "2001:db8:55:56::1") == 101, "somebody else comes in"
    is_served(site, logged)


def test_a_server_has_so_many_sockets_and_no_more(site: Stack, crowd: Crowd) -> None:
    """T-55: from a thousand addresses. Pages are served all the same."""
    port = site.ports[1]
    here = {session(site): address() for _ in range(ALL // PER_SESSION + 1)}
    came = [crowd.comes(own, where, port=port) for own, where in here.items() for _ in range(PER_SESSION)]
    assert came.count(101) == ALL
    assert set(came[ALL:]) == {403}
    assert site.get("/login/", port).status_code == 200
    assert crowd.comes(session(site), address()) == 101, "the other server has room"


def test_a_refused_handshake_asks_neither_redis_nor_the_database(site: Stack, crowd: Crowd) -> None:
    """T-48, T-55: so a storm of them costs little, and a stranger's page is a 403 even when everything is away."""
    own, here = session(site), address()
    assert [crowd.comes(own, here) for _ in range(PER_SESSION)] == [101] * PER_SESSION
    logged = len(site.webs[0].text())
    site.rows("ALTER TABLE django_session RENAME TO moved_session")
    site.kill_valkey()
    try:
        assert crowd.comes(own, here) == 403
        assert crowd.comes(session_made_up(), address(), origin="https://evil.example") == 403
        assert "a socket was closed" not in site.webs[0].text()[logged:], "somebody was asked"
        assert crowd.comes(session_made_up(), address()) == 403
        wait_until(lambda: "a socket was closed" in site.webs[0].text()[logged:], what="or this test means nothing")
    finally:
        site.start_valkey()
        site.rows("ALTER TABLE moved_session RENAME TO django_session")
    wait_until(lambda: site.get("/readyz").status_code == 200, 20, "the site is ready again")
    for port in site.ports:
        wait_until(partial(comes_in, site, crowd, port), 20, "no socket any more")


def comes_in(site: Stack, crowd: Crowd, port: int) -> bool:
    """Tell whether a newcomer gets a socket."""
    return crowd.comes(session(site), address(), port=port) == 101


def session_made_up() -> str:
    """Return what looks like a session's key."""
    return "".join(dice.choices("0123456789abcdefghijklmnopqrstuvwxyz", k=32))


def test_a_crowd_comes_back_at_once_after_the_server_was_killed(site: Stack, crowd: Crowd, logged: list[int]) -> None:
    """T-63, T-55: everybody who was there has room again at once: what a killed server had counted is gone with it."""
    pages = {session(site): address() for _ in range(3)}

    def all_come() -> list[int]:
        with ThreadPoolExecutor(ALL) as threads:
            coming = [
                threads.submit(crowd.comes, own, where) for own, where in pages.items() for _ in range(PER_SESSION)
            ]
            asking = [threads.submit(site.get, "/login/") for _ in range(5)]
            assert {answer.result().status_code for answer in asking} == {200}
            return [status.result() for status in coming]

    assert all_come() == [101] * 3 * PER_SESSION
    site.webs[0].kill()
    while crowd.open:
        crowd.goes()
    site.webs[0].start()
    site.wait_for_web()
    assert all_come() == [101] * 3 * PER_SESSION
    for raw in crowd.open:
        # Each is told everything, not only let in.
        while b'id="connection"' not in raw.said:
            raw.said += raw.socket.recv(65536)
    is_served(site, logged)


# --- Too large


@pytest.mark.parametrize(
    "data",
    [
        frame(b"x" * 4097),
        frame(b"x" * 4097, opcode=2),
        frame(b"x" * 1024 * 1024),
        # Only its header says so.
        b"\x81\xff" + b"\x7f" + b"\xff" * 7 + b"mask",
        # Two parts, each of a size that passes.
        frame(b"x" * 4000, first=0x01) + frame(b"x" * 4000, opcode=0),
    ],
    ids=["4097 letters", "4097 bytes", "a megabyte", "2**63 bytes", "two halves"],
)
def test_whoever_says_much_at_once_is_shown_out(site: Stack, data: bytes) -> None:
    """T-51."""
    person = site.person()
    with bounded(site.webs[0].pid, 5), talker(site, person) as raw:
        raw.send(data)
        assert raw.is_ended(2)


def test_a_message_in_two_hundred_thousand_pieces_fills_no_memory(site: Stack, logged: list[int]) -> None:
    """T-53: one byte each; and they are never the whole message."""
    with bounded(site.webs[0].pid, 30), talker(site, site.person()) as raw:
        piece = frame(b"x", opcode=0, first=0x00)
        raw.send(frame(b"x", first=0x01))
        for _ in range(200):
            raw.send(piece * 1000)
        assert raw.is_ended()
    is_served(site, logged)


# --- Too fast


def pour(raw: RawSocket, flood: bytes) -> str:
    """Write a hundred times, and tell whether it was all read or, sooner or later, no more of it."""
    try:
        for _ in range(100):
            raw.socket.sendall(flood)
    except OSError:
        return "cut off"
    return "read"


def test_a_flood_is_cut_off_and_no_other_page_feels_it(site: Stack, logged: list[int]) -> None:
    """T-54: fifty thousand messages of a kilobyte, while others ask for a code and look at their page."""
    person, mobile = site.person(), number()
    flood = frame(b"x" * 1024) * 500
    with bounded(site.webs[0].pid, 10), talker(site, person) as raw:
        pouring = threading.Thread(target=pour, args=(raw, flood))
        pouring.start()
        witness = visitor(site)
        tab = witness.open(**{"X-Forwarded-For": address()})
        assert witness.ask(mobile).status_code == 202
        tab.wait_for("delivery", state="sent")
        pouring.join()
        assert raw.is_ended()
    is_served(site, logged)


def test_thirty_floods_at_once_hold_nobody_up(site: Stack, logged: list[int]) -> None:
    """T-54: whoever has been shown out is read no further."""
    talkers = [talker(site, site.person()) for _ in range(30)]
    flood = frame(b"x" * 1024) * 500
    with bounded(site.webs[0].pid, 20), ThreadPoolExecutor(len(talkers)) as threads:
        pouring = [threads.submit(pour, raw, flood) for raw in talkers]
        is_served(site, logged)
        assert [future.result() for future in pouring] == ["cut off"] * len(talkers)
    for raw in talkers:
        raw.socket.close()


@pytest.mark.parametrize(
    "more",
    [frame(b"x" * 1024) * 500, b"GET /ws/ HTTP/1.1\r\nUpgrade: websocket\r\n\r\n" * 1000],
    ids=["messages", "handshakes"],
)
def test_a_flood_before_the_socket_is_open_is_cut_off_too(site: Stack, more: bytes, logged: list[int]) -> None:
    """T-54, T-52: who does not wait for the handshake's answer."""
    person = site.person()
    person.get()
    key = person.http.cookies["sessionid"]
    with bounded(site.webs[0].pid, 10):
        for _ in range(3):
            with RawSocket(site.ports[0]) as raw:
                # What comes in one piece with the request stays unread, and the connection stands still.
                raw.socket.settimeout(1)
                raw.ask(("Origin", site.url), ("Cookie", f"sessionid={key}"), ("X-Forwarded-For", address()))
                assert pour(raw, more) == "cut off"
    is_served(site, logged)


# --- Too slow


def test_a_page_that_reads_nothing_is_given_up_and_fills_no_memory(site: Stack, logged: list[int]) -> None:
    """T-56: five hundred changes are pushed to it, and five hundred that change nothing."""
    person, mobile = site.person(), number()
    assert person.ask(mobile).status_code == 202
    site.wait_for_state("sent")
    group = own_group(site, mobile)
    with bounded(site.webs[1].pid, 5), talker(site, person, port=site.ports[1], buffer=1024):
        wait_until(lambda: push(site, group) == 1, what="it never listened")
        for n in range(500):
            state = ("delivered", "sent")[n % 2]
            site.rows("UPDATE tasks_delivery SET state = ? WHERE mobile = ?", state, f"+86{mobile}")
            push(site, group)
            push(site, group)
        wait_until(lambda: push(site, group) == 0, 15, "it is still there")
    is_served(site, logged)
