"""The gateway through Apprise, against an HTTP server that stands for a service it knows by URL."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest

from tasks.gateways import Answer, Reporting, http
from tests.support.providers.common import ACCEPTED, NONE, NUMBER, OPERATOR, REFUSED, UNKNOWN, message, nothing_secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

pytest.importorskip("apprise", reason="the optional extra is not installed")


class Service(ThreadingHTTPServer):
    """What Apprise talks to: it remembers, and answers as it is told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.mode = "ok"
        self.posts: list[dict[str, str]] = []
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        """A service in Apprise's words: `to` and the text in a form."""
        return f"form://127.0.0.1:{self.server_port}/send?:to={{to}}&:token=secrettoken"


class _Handler(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        form = parse_qs(self.rfile.read(length).decode())
        self.server.posts.append({name: values[0] for name, values in form.items()})
        mode = self.server.mode
        if mode == "reset":
            self.connection.close()
        elif mode == "drip":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while not self.server.closing.wait(0.5):
                self.wfile.write(b" ")
        else:
            self.send_response({"ok": 200, "no": 400, "redirect": 307}[mode])
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def service(settings: Settings) -> Iterator[Service]:
    with Service() as service:
        threading.Thread(target=service.serve_forever, args=(0.05,), daemon=True).start()
        settings.APPRISE_URL = service.url
        yield service
        service.closing.set()
        service.shutdown()


def send(**changes: str) -> Answer:
    from tasks.gateways.apprise import Apprise

    return Apprise().send(message(**changes))


def test_a_person_gets_the_text_they_asked_for(service: Service) -> None:
    answer = send(code="000042")
    assert (answer.outcome, answer.reason, answer.provider_id) == (ACCEPTED, NONE, "")
    [post] = service.posts
    assert (post["to"], post["message"]) == ("+8613800138000", "000042 is your code")


def test_a_service_that_wants_bare_digits_gets_them(service: Service, settings: Settings) -> None:
    settings.APPRISE_URL = service.url.replace("{to}", "{digits}")
    assert send().outcome is ACCEPTED
    assert service.posts[0]["to"] == "8613800138000"


@pytest.mark.parametrize("mode", ["no", "reset", "redirect"])
def test_a_no_may_be_a_lost_answer_and_is_not_taken_for_a_refusal(service: Service, mode: str) -> None:
    service.mode = mode
    answer = send()
    assert (answer.outcome, answer.reason) == (UNKNOWN, OPERATOR)
    assert len(service.posts) == 1, "no redirect is followed, and nothing is sent again"


def test_retries_in_the_url_are_not_done_behind_our_back(service: Service, settings: Settings) -> None:
    service.mode = "no"
    settings.APPRISE_URL = service.url + "&retry=3"
    assert send().outcome is UNKNOWN
    assert len(service.posts) == 1


def test_a_service_that_is_down_is_unknown_too(settings: Settings) -> None:
    """It certainly has nothing, but Apprise does not say so."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        settings.APPRISE_URL = f"form://127.0.0.1:{nobody.getsockname()[1]}/?:to={{to}}"
        assert send().outcome is UNKNOWN


def test_an_answer_that_drips_holds_a_worker_for_seconds_not_minutes(service: Service) -> None:
    service.mode = "drip"
    started = time.monotonic()
    answer = send()
    assert (answer.outcome, answer.reason) == (UNKNOWN, NONE)
    assert time.monotonic() - started < http.TOTAL + 2


@pytest.mark.parametrize("to", ["", "+", "hello", "13800138000"])
def test_what_is_not_a_number_in_e164_never_leaves(service: Service, to: str) -> None:
    answer = send(to=to)
    assert (answer.outcome, answer.reason) == (REFUSED, NUMBER)
    assert service.posts == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense {to}",
        "unknown://{to}",
        "form://?:to={to}",
        # Two people would get one code.
        "twilio://AC{digits}:token@15005550006/{digits}/15005550007",
    ],
)
def test_a_url_that_is_not_one_service_for_one_number_never_leaves(settings: Settings, url: str) -> None:
    settings.APPRISE_URL = url
    answer = send()
    assert (answer.outcome, answer.reason) == (REFUSED, OPERATOR)


@pytest.mark.parametrize("mode", ["ok", "no", "reset"])
def test_nothing_secret_is_written_down(service: Service, caplog: pytest.LogCaptureFixture, mode: str) -> None:
    service.mode = mode
    with nothing_secret(caplog, "secrettoken", "13912345678", "8613912345678", "271828") as said:
        said.append(send(to="+8613912345678", code="271828"))


def test_it_promises_neither_reports_nor_safe_repeats() -> None:
    from tasks.gateways.apprise import Apprise

    assert not Apprise.idempotent
    assert not isinstance(Apprise(), Reporting)


# The start


def start(**environment: str) -> str:
    """Load the settings in a process of their own, and return its last words."""
    code = (
        "import sys; sys.modules['apprise'] = None; import project.settings" if environment.pop("without", "") else ""
    )
    done = subprocess.run(
        [sys.executable, "-c", code or "import project.settings"],
        env=os.environ | {"SMS_GATEWAYS": "apprise", "APPRISE_URL": "form://host/?:to={to}"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr.strip().rpartition("\n")[2]


def test_the_library_that_is_missing_is_named_at_the_start() -> None:
    assert start() == "", "or this test means nothing"
    assert "pip install apprise" in start(without="1")


def test_a_url_without_a_place_for_the_number_is_refused_at_the_start() -> None:
    assert "{to}" in start(APPRISE_URL="form://host/?:to=+8613800138000")
    assert "APPRISE_URL is not set" in start(APPRISE_URL="")
