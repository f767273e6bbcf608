"""The address of a visitor behind proxies: one reader for requests and sockets, whatever way the proxy writes it."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.test import RequestFactory

from accounts.throttling import client_ip
from accounts.throttling.client_ip import client_address, hashed_address, socket_address

PEER = "10.0.0.1"


def asked(*lines: str) -> tuple[str, str]:
    """Return the address of a request and of a socket whose proxy sends these lines of X-Forwarded-For."""
    # WSGI has one line for each name: the server joins several with a comma, in their order.
    joined: dict[str, Any] = {"HTTP_X_FORWARDED_FOR": ",".join(lines)} if lines else {}
    request = RequestFactory().get("/", REMOTE_ADDR=PEER, **joined)
    headers = [(b"x-forwarded-for", line.encode("latin-1")) for line in lines]
    return client_address(request), socket_address({"client": [PEER, 1], "headers": headers})


@pytest.fixture(autouse=True)
def one_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have one proxy in front, and nothing warned of yet."""
    monkeypatch.setattr("django.conf.settings.TRUSTED_PROXIES", 1)
    monkeypatch.setattr(client_ip, "_warned_at", float("-inf"))


@pytest.mark.parametrize(
    "node",
    ["203.0.113.7", "203.0.113.7:51000", '"203.0.113.7:51000"', "\t203.0.113.7 ", "::ffff:203.0.113.7",
     "[::ffff:203.0.113.7]:443", "203.0.113.7,", "203.0.113.7:0"],
)  # fmt: skip
def test_a_port_or_a_spelling_is_no_part_of_an_address(node: str) -> None:
    assert asked(f"198.51.100.1, {node}") == ("203.0.113.7", "203.0.113.7")


@pytest.mark.parametrize(
    "node", ["2001:db8::7", "[2001:db8::7]", "[2001:DB8::7]:51000", '"[2001:db8:0::7]:51000"', "2001:db8::7%eth0",
             "[2001:db8::7%25eth0]:80"]
)  # fmt: skip
def test_an_ipv6_visitor_is_known_with_brackets_port_and_zone(node: str) -> None:
    assert asked(node) == ("2001:db8::7", "2001:db8::/64")


@pytest.mark.parametrize(
    "node",
    ["unknown", "_hidden", "_hidden:51000", "203.0.113.7:", "203.0.113.7:port", "203.0.113.7:123456", "203.0.113.256",
     "[2001:db8::7", "2001:db8::7]", '"203.0.113.7', "203.0.113.7%eth0", "２０３.0.113.7", "for=203.0.113.7", "<a>"],
)  # fmt: skip
def test_a_word_that_cannot_be_read_is_the_proxy_s_and_is_warned_of_once(
    node: str, caplog: pytest.LogCaptureFixture
) -> None:
    node = node.encode("utf-8").decode("latin-1")
    with caplog.at_level(logging.WARNING, "accounts.throttling.client_ip"):
        assert asked(f"198.51.100.1, {node}") == (PEER, PEER)
        assert asked(node) == (PEER, PEER)
    assert len(caplog.messages) == 1, caplog.messages
    assert "TRUSTED_PROXIES" in caplog.messages[0]
    assert "203.0.113" not in caplog.messages[0], "no visitor's address is in the log"


def test_ten_visitors_with_ports_are_ten_in_the_limits() -> None:
    hashes = {
        hashed_address(RequestFactory().get("/", REMOTE_ADDR=PEER, HTTP_X_FORWARDED_FOR=f"203.0.113.{n}:5100{n}"))
        for n in range(10)
    }
    assert len(hashes) == 10
    again = RequestFactory().get("/", REMOTE_ADDR=PEER, HTTP_X_FORWARDED_FOR="203.0.113.1:7")
    assert hashed_address(again) in hashes, "a new connection is a new port, and the same visitor"


def test_two_lines_are_one_list_for_requests_and_sockets_alike() -> None:
    assert asked("198.51.100.1", "203.0.113.7") == ("203.0.113.7", "203.0.113.7")
    assert asked("198.51.100.1, 203.0.113.7", "") == ("203.0.113.7", "203.0.113.7")


def test_two_proxies_are_counted_over_all_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.conf.settings.TRUSTED_PROXIES", 2)
    assert asked("192.0.2.9", "203.0.113.7:1", "10.0.0.2:443") == ("203.0.113.7", "203.0.113.7")
    assert asked("203.0.113.7") == (PEER, PEER), "a visitor who came past the first proxy names himself"


def test_without_a_proxy_nobody_is_believed(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("django.conf.settings.TRUSTED_PROXIES", 0)
    assert asked("203.0.113.7", "unknown") == (PEER, PEER)
    assert not caplog.messages
