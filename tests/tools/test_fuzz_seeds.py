"""What `make fuzz` has found, each as one test; and each property that needs no site, for a moment."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
from django.test import RequestFactory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.forms import PasswordForm
from project import checks, env
from project.broker.address import Address
from tests.support.raw import RawSocket
from tests.tools.fuzz import forms, site
from tests.tools.fuzz.hunt import hunt
from tests.tools.fuzz.target import Target
from tests.tools.fuzz.targets import ALL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PARSERS = [target for target in ALL.values() if not target.site]


@pytest.mark.parametrize("target", PARSERS, ids=lambda target: target.name)
def test_a_property_holds_for_what_comes_to_mind_first(target: Target) -> None:
    """T-25, T-47, T-52, T-73, T-79, T-80, T-94: the properties of `make fuzz`, with the same input each time."""
    few = settings(
        max_examples=60, derandomize=True, database=None, deadline=None, suppress_health_check=[*HealthCheck]
    )
    few(given(target.given)(target.check))()


@pytest.mark.parametrize("target", [target for target in PARSERS if target.raw], ids=lambda target: target.name)
def test_what_atheris_starts_from_is_read(target: Target) -> None:
    assert target.raw
    for seed in (b"", b"\x00", b"\xff", *target.seeds):
        target.raw(seed)


def test_the_fuzzer_shows_what_it_found_and_tries_it_first_the_next_time(tmp_path: Path) -> None:
    """Or its silence means nothing."""
    seen: list[str] = []

    def check(text: str) -> None:
        seen.append(text)
        assert "7" not in text

    target = Target("sevens", st.text("0123456789"), check)
    tried, broken = hunt(target, 20, tmp_path)
    assert tried == len(seen) > 1
    assert "value='7'" in broken
    seen.clear()
    hunt(target, 20, tmp_path)
    assert "7" in seen[0]
    assert hunt(dataclasses.replace(target, given=st.text("01234568")), 0.1, tmp_path)[1] == ""


# --- What it has found ---


@pytest.mark.parametrize("rest", ["[", "[]", "[secret", "se[cret@host", "℀secret@host", "host:99999", "host:secret"])
def test_an_address_of_rabbitmq_that_cannot_be_read_is_none_and_no_exception(rest: str) -> None:
    """The exception's text, and the traceback of the start, held a piece of the password."""
    assert Address.parse(f"amqp://guest:{rest}") is None
    assert Address.parse("amqp://guest:secret@host/v"), "or this test means nothing"


@pytest.mark.parametrize("origin", ["http://[", "https://[]", "https://a℀b", "https://login.example.org:x"])
def test_a_public_origin_that_cannot_be_read_is_said_in_one_line(origin: str) -> None:
    """Two of these were a traceback at the start."""
    with pytest.raises(env.BadSetting, match="Write scheme and host only"):
        checks.public_origin(origin)


@pytest.mark.parametrize("wanted", ["//", "/\\", "\\/", "//@", "/\\/"])
def test_two_slashes_without_a_host_are_no_place_to_go(wanted: str) -> None:
    """T-47: Django takes them for a path. A browser takes what follows for a host, and stops when nothing does."""
    assert forms.resolved(wanted)
    request = RequestFactory(headers={"host": forms.HOST}).get("/login/", {"next": wanted})
    assert PasswordForm(request.GET).destination(request) == ""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The site of tests/tools/fuzz/site.py."""
    with site.running(tmp_path_factory.mktemp("site")):
        yield


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Daphne-Root-Path", "\x80"),
        ("Daphne-Root-Path", "/ws"),
        ("Sec-WebSocket-Protocol", "\x80"),
        ("Sec-WebSocket-Protocol", "%80"),
    ],
)
def test_a_header_that_only_daphne_reads_breaks_nothing(running: None, name: str, value: str) -> None:
    """T-52, T-82: each was a 500 and a traceback in the log, for anybody who asked."""
    site.any_request(site.Request("GET", "/login/", [(name, value)], b"", token=False))
    site.any_request(site.Request("GET", "/ws/", [(name, value)], b"", token=True, upgrade=True))


def test_a_fuzzed_socket_is_let_in_and_a_request_is_answered(running: None) -> None:
    """Or what is sent to them means nothing."""
    watched = site.watched()
    with RawSocket(watched.stack.ports[0]) as raw:
        assert raw.handshake(("Cookie", watched.cookie), ("Origin", "http://127.0.0.1")) == 101
    answer = site.sent(
        watched.stack.ports[0], b"GET /login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", patience=5
    )
    assert answer.startswith(b"HTTP/1.1 200 ")
