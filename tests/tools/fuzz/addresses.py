"""Settings: a variable of any text is a value or BadSetting in one line; an address is read, or shows no secret."""

from __future__ import annotations

import ipaddress
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.test import RequestFactory, override_settings
from hypothesis import strategies as st

from accounts.throttling.client_ip import client_address, hashed_address
from project import env
from project.broker.address import Address
from tests.tools.fuzz.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAME = "LATCHKEY_FUZZ"
# What a process may find in its environment: no NUL, and bytes that are no UTF-8 as lone surrogates.
values = st.one_of(
    st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=40),
    st.text("0123456789+-_ .eE０１²,", max_size=12),
    st.sampled_from(["1", "yes", "OFF", "9" * 5000, "-1", "1e3", "0x10", "1_000", "\udcff", "a\nb", "a, ,b"]),
)
urls = st.one_of(
    st.lists(
        st.sampled_from(["amqp", "amqps", "://", ":", "@", "/", "user", "pa%20ss", "[", "]", "::1", "host", "5672", "?",
                         "#", "%2F", "%", "%zz", "99999", "-1", "½", "℀", "\t", "\n", " ", "é", "４"]),
        max_size=12,
    ).map("".join),
    st.text(max_size=30).map(lambda text: f"amqp://guest:secret@{text}"),
    st.text(max_size=30).map(lambda text: f"amqp://guest:{text}@host/v"),
)  # fmt: skip


@contextmanager
def variable(value: str) -> Iterator[None]:
    """Have a variable in the environment."""
    os.environ[NAME] = value
    try:
        yield
    finally:
        del os.environ[NAME]


def any_value(value: str) -> None:
    """Each reader returns what it promises, or stops the start with one line that names the variable."""
    with variable(value):
        readers: tuple[Callable[[], bool], ...] = (
            lambda: env.flag(NAME) in {True, False},
            lambda: 1 <= env.number(NAME, 5, least=1, most=10) <= 10,
            lambda: env.number(NAME, 5) >= 0,
            lambda: env.choice(NAME, "ask", ["ask", "resend"]) in {"ask", "resend"},
            lambda: all(word == word.strip() != "" for word in env.words(NAME)),
            lambda: env.text(NAME) == value.strip(),
        )
        for read in readers:
            refused = ""
            try:
                assert read()
            except env.BadSetting as bad:
                refused = str(bad)
            assert not refused or NAME in refused
            assert len(refused.splitlines()) <= 1


def any_url(url: str) -> None:
    """RabbitMQ's address is read or it is None: an exception would show the password."""
    address = Address.parse(url)
    if address is not None:
        assert address.host
        assert 0 < address.port < 65536
        assert "secret" not in repr(address)


hops = st.lists(
    st.one_of(
        st.ip_addresses().map(str), st.text(max_size=12), st.sampled_from(["", " ", "1.2.3.4:80", "[::1]", "::1%e"])
    ),
    max_size=5,
).map(",".join)  # fmt: skip


def any_hops(case: tuple[int, str, str]) -> None:
    """T-5, T-82: a visitor's address is one that a proxy of ours saw, whatever stands in the header."""
    proxies, header, peer = case
    request = RequestFactory().get("/", headers={"x-forwarded-for": header}, REMOTE_ADDR=peer)
    with override_settings(TRUSTED_PROXIES=proxies):
        found = client_address(request)
        assert len(hashed_address(request)) >= 32
    if not proxies:
        assert found == peer
    elif found != peer:
        # Empty places count for nothing; ports, brackets, quotes and zones are no part of an address.
        seen = [hop.strip() for hop in header.split(",") if hop.strip(" \t")][-proxies]
        assert ipaddress.ip_address(found)
        assert ":" in seen if ":" in found else found in seen or ":" in seen


TARGETS = (
    Target("settings", values, any_value),
    Target("broker", urls, any_url, raw=lambda data: any_url("amqp://" + data.decode("utf-8", "replace"))),
    Target("hops", st.tuples(st.integers(0, 3), hops, st.ip_addresses().map(str)), any_hops),
)
