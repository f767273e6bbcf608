"""The same `asgi:application` under other servers than daphne, for those who choose one; see docs/operators.md."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.numbers import number
from tests.support.stack import BIN, Stack, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.long

PASSWORD = "correct horse battery staple"
# As docs/operators.md says.
SERVERS = {
    "uvicorn": [
        "--no-server-header",
        "--no-proxy-headers",
        "--lifespan",
        "on",
        "--ws-max-size",
        "65536",
        "--timeout-graceful-shutdown",
        "5",
    ],
    "granian": ["--interface", "asgi", "--workers-kill-timeout", "5", "--no-access-log"],
}
# What every answer has to say (tests/pages/test_headers.py looks at each).
HEADERS = (
    "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "Cross-Origin-Opener-Policy",
    "Cross-Origin-Resource-Policy", "Permissions-Policy", "Content-Security-Policy", "Cache-Control",
)  # fmt: skip


@pytest.fixture(scope="module", params=SERVERS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site under another server."""
    stack = Stack(tmp_path_factory.mktemp(request.param))
    (web,) = stack.webs
    web.command = [
        str(BIN / request.param), *SERVERS[request.param], "--host", "127.0.0.1", "--port", str(stack.ports[0]),
        "asgi:application",
    ]  # fmt: skip
    with stack:
        stack.user("margaret", password=PASSWORD)
        yield stack


def test_a_page_is_served_with_every_header(site: Stack) -> None:
    for path in ("/login/", "/", "/static/latchkey.css"):
        answer = site.get(path)
        assert answer.status_code == 200
        missing = [name for name in HEADERS if name not in answer.headers]
        assert not missing, path
        # granian has no word for this; the proxy in front takes it out.
        assert answer.headers.get("server") in {None, "granian"}


def test_a_code_is_asked_for_seen_live_and_used(site: Stack) -> None:
    person, mobile = site.person(), number()
    person.get()
    page = person.open()
    assert person.ask(mobile).status_code == 202
    page.wait_for("delivery", 20, state="sent")
    assert person.enter(site.phone.code_for(mobile)).status_code == 200
    assert person.username


def test_a_password_opens_the_door_and_a_wrong_one_does_not(site: Stack) -> None:
    person = site.person()
    assert person.login("margaret", "something else entirely").status_code == 422
    assert person.login("margaret", PASSWORD).status_code == 200
    assert person.username == "margaret"


def test_a_body_that_is_too_long_is_refused(site: Stack) -> None:
    person = site.person()
    person.get()
    answer = person.http.post("/code/", content=b"mobile=" + b"1" * 200_000, headers={
        "Content-Type": "application/x-www-form-urlencoded", "X-CSRFToken": person.token,
    })  # fmt: skip
    assert answer.status_code in {400, 413}


def test_it_ends_when_asked_to_with_a_page_open(site: Stack) -> None:
    """The last of them: the server is gone afterwards."""
    person = site.person()
    person.get()
    person.open()
    (web,) = site.webs
    web.stop(seconds=20)
    assert not re.search(r"Traceback", web.text()), web.text()
    web.start()
    wait_until(lambda: site.get("/healthz").status_code == 200, 20, "it does not come back")
