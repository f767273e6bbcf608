"""What stands between the port and Django: who is read how, who waits for whom, and who is not waited for."""

from __future__ import annotations

import socket
import sqlite3
import threading
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import httpx
import pytest

from tests.support.numbers import number
from tests.support.raw import RawSocket
from tests.support.stack import REAL, Stack, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.person import Person


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site without a worker: nothing is sent. A password's hash takes its time."""
    with Stack(tmp_path_factory.mktemp("site"), workers=0, ALLOWED_HOSTS="login.example.org", **REAL) as stack:
        yield stack


def told(site: Stack, head: str, body: str = "") -> tuple[int, str]:
    """Send a request as it is written, and return the status and the whole answer."""
    lines = [*head.splitlines(), "Connection: close", f"Content-Length: {len(body)}", "", body]
    with socket.create_connection(("127.0.0.1", site.ports[0]), timeout=20) as connection:
        connection.sendall("\r\n".join(lines).encode())
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return int(answer.split(b" ", 2)[1]), answer.decode("utf-8", "replace")


def guess_of(person: Person, username: str) -> str:
    """Return a request with a wrong password, as a browser sends it."""
    body = urlencode({"username": username, "password": "a wrong password", "csrfmiddlewaretoken": person.token})
    cookies = "; ".join(f"{name}={value}" for name, value in person.http.cookies.items())
    lines = [
        "POST /login/ HTTP/1.1", "Host: 127.0.0.1", "Accept: application/json", f"Cookie: {cookies}",
        "Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}", "", body,
    ]  # fmt: skip
    return "\r\n".join(lines)


# --- One reader ---


@pytest.mark.parametrize("method", ["post", "Post", "pOST", "get", "head"])
def test_a_method_in_small_letters_is_none(site: Stack, method: str) -> None:
    """T-99: Django would read it as the one in capitals, and what chooses the threads would not."""
    status, answer = told(site, f"{method} /login/ HTTP/1.1\nHost: 127.0.0.1", "username=somebody&password=whatever")
    assert status == 405
    assert "sessionid" not in answer


@pytest.mark.parametrize("target", ["http://127.0.0.1/login/?next=/a", "HTTP://127.0.0.1:80/login/?next=/a"])
def test_a_target_in_absolute_form_is_the_page_in_it(site: Stack, target: str) -> None:
    """RFC 9112, 3.2.2: a server takes it from everybody, although only proxies send it."""
    status, answer = told(site, f"GET {target} HTTP/1.1\nHost: 127.0.0.1\nAccept: text/html")
    assert status == 200
    assert 'value="/a"' in answer


def test_the_host_of_an_absolute_target_counts_and_not_the_header(site: Stack) -> None:
    """T-99, RFC 9112, 3.2.2: one host for all who read it."""
    assert told(site, "GET http://evil.example/login/ HTTP/1.1\nHost: 127.0.0.1")[0] == 400
    assert told(site, "GET http://login.example.org/login/ HTTP/1.1\nHost: evil.example")[0] == 200
    assert told(site, "GET http://login.example.org HTTP/1.1\nHost: evil.example")[0] == 200
    assert told(site, "GET http://evil.example@login.example.org/login/ HTTP/1.1\nHost: 127.0.0.1")[0] == 400
    assert told(site, "GET http:///login/ HTTP/1.1\nHost: 127.0.0.1")[0] == 400


def test_a_guess_in_absolute_form_waits_with_the_others(site: Stack) -> None:
    """T-98: it is a guess at a password by whatever spelling of its address, and is hashed where those are."""
    person = site.person()
    request = guess_of(person, "somebody").replace("/login/", f"http://127.0.0.1:{site.ports[0]}/login/", 1)
    head, body = request.split("\r\n\r\n", 1)
    status, answer = told(site, head.replace(f"\r\nContent-Length: {len(body)}", ""), body)
    assert (status, "CREDENTIALS" in answer) == (422, True)


def test_a_handshake_in_absolute_form_is_one(site: Stack) -> None:
    """RFC 9112, 3.2.2, for sockets as well."""
    person = site.person()
    person.get()
    cookie = f"sessionid={person.http.cookies['sessionid']}"
    origin = site.url
    with RawSocket(site.ports[0]) as page:
        path = f"{site.url}/ws/"
        assert page.handshake(("Cookie", cookie), ("Origin", origin), path=path, host="evil.example") == 101


# --- Who waits for whom ---


def test_whoever_watches_does_not_wait_behind_forty_who_do(site: Stack) -> None:
    """T-78: a locked database takes the threads of all requests, and the process is alive all the same."""
    people = [site.person() for _ in range(40)]
    for person in people:
        assert person.token
    with closing(sqlite3.connect(site.folder / "latchkey.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        threads = [threading.Thread(target=person.ask, args=(number(),)) for person in people]
        for thread in threads:
            thread.start()
        try:
            # Long before the first of them gives up waiting for the lock.
            time.sleep(1)
            for _ in range(5):
                assert httpx.get(f"{site.url}/healthz", timeout=2).status_code == 200
            assert any(thread.is_alive() for thread in threads), "or this test means nothing"
        finally:
            other.execute("ROLLBACK")
            for thread in threads:
                thread.join()


def test_guesses_that_were_hung_up_on_make_nobody_wait(site: Stack) -> None:
    """T-98: a hundred and fifty sent and closed; nearly none is hashed, and the next who signs in does."""
    site.user("margaret", password="correct horse battery")
    person = site.person()
    before = len(site.rows("SELECT key FROM accounts_guesses WHERE key LIKE 'password:%'"))
    requests = [guess_of(person, f"nobody-{n}") for n in range(150)]
    for request in requests:
        with socket.create_connection(("127.0.0.1", site.ports[0]), timeout=20) as connection:
            connection.sendall(request.encode())
    assert site.person().login("margaret", "correct horse battery").status_code == 200
    looked_at = len(site.rows("SELECT key FROM accounts_guesses WHERE key LIKE 'password:%'")) - before
    assert looked_at < 75


# --- Who is not waited for ---


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Stack]:
    """A site whose server waits for two seconds, so that this test need not wait for thirty."""
    settings: dict[str, Any] = {}
    with Stack(tmp_path, workers=0, **settings) as stack:
        web = stack.webs[0]
        web.stop()
        web.command[1:1] = ["--http-timeout", "2"]
        web.start()
        stack.wait_for_web()
        yield stack


@pytest.mark.parametrize(
    ("beginning", "drip"),
    [
        (b"POST /code/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 60000\r\n\r\n", b"a"),
        (b"GET /login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ", b"a"),
        (b"POST /code/ HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
    ],
    ids=["a body", "a head", "chunks"],
)
def test_a_request_that_drips_is_ended(impatient: Stack, beginning: bytes, drip: bytes) -> None:
    """T-57: from its first line on it has so long to become whole, however often a byte of it comes."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", impatient.ports[0]), timeout=0.2) as connection:
        connection.sendall(beginning)

        def is_ended() -> bool:
            try:
                connection.sendall(drip)
                return b"408" in connection.recv(4096)
            except TimeoutError:
                return False

        wait_until(is_ended, 10)
    assert time.monotonic() - began > 1.5, "not before it had its time"
    assert impatient.get("/login/").status_code == 200


# --- Heads ---


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"Cookie: " + b"a" * 17_000, id="one long line"),
        pytest.param(b"\r\n".join(b"X-%d: " % n + b"a" * 1000 for n in range(17)), id="many lines"),
        pytest.param(b"Cookie: " + b"a" * 1_000_000, id="a megabyte"),
    ],
)
def test_a_head_that_is_too_large_is_told_so(site: Stack, head: bytes) -> None:
    """431 (RFC 6585, 5), not a connection that closes without a word; and whatever follows is not another request."""
    with socket.create_connection(("127.0.0.1", site.ports[0]), timeout=20) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n" + head + b"\r\n\r\n")
        with suppress(OSError):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        answer = b""
        while part := connection.recv(65536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert answer.count(b"HTTP/1.1") == 1


def test_a_head_of_almost_sixteen_kilobytes_is_read(site: Stack) -> None:
    status, _ = told(site, "GET /healthz HTTP/1.1\nHost: 127.0.0.1\nX-Long: " + "a" * 15_000)
    assert status == 200
    # Each request of a connection has the whole room.
    with httpx.Client(base_url=site.url) as client:
        assert [client.get("/healthz", headers={"X-Long": "a" * 9000}).status_code for _ in range(4)] == [200] * 4


def test_a_first_line_that_drips_is_ended_and_an_idle_connection_is_kept(site: Stack) -> None:
    """T-34: thirty seconds from the first byte on; before it, the connection may rest for KEEP_ALIVE."""
    with (
        socket.create_connection(("127.0.0.1", site.ports[0]), timeout=60) as dripping,
        httpx.Client(base_url=site.url) as idle,
    ):
        assert idle.get("/healthz").status_code == 200
        began = time.monotonic()
        dripping.settimeout(2)
        answer = b""
        while not answer and time.monotonic() - began < 45:
            dripping.sendall(b"G")
            with suppress(TimeoutError):
                answer = dripping.recv(4096)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert 25 < time.monotonic() - began < 45
        assert idle.get("/healthz").status_code == 200
