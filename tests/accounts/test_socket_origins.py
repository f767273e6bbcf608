"""From whose page a socket may be opened: that of every name that is answered, and nobody else's."""

from __future__ import annotations

import pytest

from accounts.live.connection_limits import ConnectionLimits


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> ConnectionLimits:
    """A site with a second name and every name under a third."""
    names = ["login.example.org", "second.example.org", ".example.net", "localhost", "127.0.0.1", "[::1]"]
    monkeypatch.setattr("django.conf.settings.ALLOWED_HOSTS", names)
    monkeypatch.setattr("django.conf.settings.SECURE", True)
    return ConnectionLimits(None, ["https://login.example.org"])


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://login.example.org", "login.example.org"),
        ("https://second.example.org", "second.example.org"),
        ("https://second.example.org", "Second.Example.Org:443"),
        ("https://second.example.org:8443", "second.example.org:8443"),
        ("https://a.example.net", "a.example.net"),
    ],
)
def test_a_page_of_every_name_that_is_answered_opens_its_socket(
    limits: ConnectionLimits, origin: str, host: str
) -> None:
    assert limits.is_ours(origin.encode(), host.encode())


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://evil.example", "second.example.org"),
        ("https://evil.example", "evil.example"),
        ("https://second.example.org.evil.example", "second.example.org"),
        ("http://second.example.org", "second.example.org"),
        ("https://second.example.org:8443", "second.example.org"),
        ("https://second.example.org", "second.example.org:8443"),
        ("https://a.example.net", "b.example.net"),
        ("https://second.example.org", "a.example.net"),
        ("https://second.example.org@evil.example", "second.example.org"),
        ("https://second.example.org", ""),
        ("null", "second.example.org"),
        ("", ""),
        ("https://", ""),
        ("https://[", "["),
        ("https://second.example.org:x", "second.example.org:x"),
    ],
)
def test_a_stranger_s_page_opens_no_socket_under_a_second_name(
    limits: ConnectionLimits, origin: str, host: str
) -> None:
    assert not limits.is_ours(origin.encode(), host.encode())


def test_a_page_without_an_origin_opens_no_socket(limits: ConnectionLimits) -> None:
    assert not limits.is_ours(None, b"second.example.org")


def test_a_page_of_another_port_of_this_machine_opens_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under DEBUG the dev phone shows every code: another program's page must not read along."""
    monkeypatch.setattr("django.conf.settings.SECURE", False)
    limits = ConnectionLimits(None, [])
    assert limits.is_ours(b"http://127.0.0.1:8000", b"127.0.0.1:8000")
    assert limits.is_ours(b"http://localhost:8000", b"localhost:8000")
    assert not limits.is_ours(b"http://127.0.0.1:3000", b"127.0.0.1:8000")
    assert not limits.is_ours(b"http://localhost:3000", b"127.0.0.1:8000")
    assert limits.is_ours(b"http://127.0.0.1:8000", b"127.0.0.1", 8000), (
        "a Host without a port is of the port it came to"
    )
    assert not limits.is_ours(b"http://127.0.0.1:3000", b"127.0.0.1", 8000)
