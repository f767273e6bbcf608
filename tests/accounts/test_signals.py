"""What a site's own apps hear: an account was made, somebody has signed in, a number has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.core.management import call_command
from django.db import connection, transaction

from accounts import signals
from accounts.models import User

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator

    from django.dispatch import Signal
    from django.test import Client

pytestmark = pytest.mark.django_db(transaction=True)

NAMES = ("account_made", "signed_in", "number_changed")
PASSWORD = "correct horse battery"
MOBILE, OTHER = "+8613800138000", "+8613800138001"


class Heard:
    """Receivers of all signals, which write down what they hear."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.facts: list[tuple[str, dict[str, Any]]] = []
        # Whether a transaction was open when a signal came.
        self.inside: list[bool] = []

    def names(self) -> list[str]:
        """Return the signals in the order they came."""
        return [name for name, _ in self.facts]

    def receiver(self, name: str) -> Any:
        """Return a receiver of a signal."""

        def hear(sender: type, signal: Signal, **facts: Any) -> None:
            assert sender is User
            self.facts.append((name, facts))
            self.inside.append(connection.in_atomic_block)

        return hear


@pytest.fixture
def heard() -> Iterator[Heard]:
    """Hear every signal for the time of a test."""
    heard = Heard()
    receivers = {name: heard.receiver(name) for name in NAMES}
    for name, receiver in receivers.items():
        getattr(signals, name).connect(receiver)
    yield heard
    for name, receiver in receivers.items():
        getattr(signals, name).disconnect(receiver)


def test_a_first_code_tells_of_the_account_before_it_tells_of_the_sign_in(heard: Heard, client: Client) -> None:
    user = User.objects.of_mobile(MOBILE, make=True)
    assert user
    client.force_login(user, "accounts.backends.CodeBackend")
    assert heard.names() == ["account_made", "signed_in"]
    assert heard.facts[0][1] == {"user": user}
    assert (heard.facts[1][1]["user"], heard.facts[1][1]["how"]) == (user, "code")
    assert heard.inside == [False, False]
    assert User.objects.of_mobile(MOBILE, make=True) == user
    assert len(heard.facts) == 2, "found, not made"


def test_a_sign_in_with_a_password_tells_how_and_brings_its_request(heard: Heard, client: Client) -> None:
    User.objects.create_user("alice", password=PASSWORD)
    wrong = client.post("/login/", {"username": "alice", "password": "not the password"}, headers={"Host": "127.0.0.1"})
    assert (wrong.status_code, heard.names()) == (422, ["account_made"])
    right = client.post("/login/", {"username": "alice", "password": PASSWORD}, headers={"Host": "127.0.0.1"})
    assert (right.status_code, heard.names()) == (302, ["account_made", "signed_in"])
    facts = heard.facts[1][1]
    assert (facts["how"], facts["request"].path, facts["user"].username) == ("password", "/login/", "alice")


def test_an_account_is_made_by_whatever_makes_it(heard: Heard) -> None:
    User.objects.create_user("alice")
    call_command("createsuperuser", "--noinput", username="operator", email="")
    assert heard.names() == ["account_made"] * 2


def test_a_number_that_changes_tells_what_it_was(heard: Heard) -> None:
    user = User.objects.create_user("alice")
    user.mobile = MOBILE
    user.save()
    user.mobile = OTHER
    user.save(update_fields=["mobile"])
    user.mobile = None
    user.save()
    changes = [(facts["before"], facts["after"]) for name, facts in heard.facts if name == "number_changed"]
    assert changes == [(None, MOBILE), (MOBILE, OTHER), (OTHER, None)]


def test_a_save_that_leaves_the_number_alone_tells_nothing(heard: Heard) -> None:
    user = User.objects.create_user("alice", mobile=MOBILE)
    stale = User.objects.get(pk=user.pk)
    user.first_name = "Alice"
    user.save()
    stale.mobile = OTHER
    stale.save(update_fields=["last_login"])
    assert heard.names() == ["account_made"]


def test_nothing_is_told_of_what_is_rolled_back(heard: Heard) -> None:
    user = User.objects.create_user("alice", mobile=MOBILE)
    with transaction.atomic():
        User.objects.create_user("bobby")
        user.mobile = OTHER
        user.save()
        transaction.set_rollback(True)
    assert heard.names() == ["account_made"]
    with transaction.atomic():
        User.objects.create_user("carol")
        assert heard.names() == ["account_made"], "not before the commit"
    assert heard.names() == ["account_made"] * 2


def test_a_receiver_that_fails_is_logged_and_fails_no_sign_in(
    heard: Heard, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(**_: object) -> None:
        raise RuntimeError("the newsletter is away")

    for name in NAMES:
        getattr(signals, name).connect(breaks)
    try:
        user = User.objects.create_user("alice", password=PASSWORD)
        user.mobile = MOBILE
        user.save()
        answer = client.post("/login/", {"username": "alice", "password": PASSWORD}, headers={"Host": "127.0.0.1"})
    finally:
        for name in NAMES:
            getattr(signals, name).disconnect(breaks)
    assert answer.status_code == 302
    assert heard.names() == ["account_made", "number_changed", "signed_in"]
    errors: list[logging.LogRecord] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 3
    assert all("the newsletter is away" in record.getMessage() for record in errors)


def test_django_s_own_signals_are_sent_as_well(client: Client) -> None:
    told = []

    def entered(user: User, **_: object) -> None:
        told.append(f"{user} in")

    def left(user: User, **_: object) -> None:
        told.append(f"{user} out")

    user_logged_in.connect(entered)
    user_logged_out.connect(left)
    try:
        User.objects.create_user("alice", password=PASSWORD)
        client.post("/login/", {"username": "alice", "password": PASSWORD}, headers={"Host": "127.0.0.1"})
        client.post("/logout/", headers={"Host": "127.0.0.1"})
    finally:
        user_logged_in.disconnect(entered)
        user_logged_out.disconnect(left)
    assert told == ["alice in", "alice out"]
