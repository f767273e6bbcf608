"""Sessions against whoever has got hold of the database: what is in it signs nobody in."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import InvalidStatus

from accounts.sessions import KEY, VISITOR, SessionStore, hashed, visitor, visitor_key
from project.keys import derive
from tests.numbers import number
from tests.stack import wait_until

if TYPE_CHECKING:
    from tests.person import Person
    from tests.stack import Stack

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module", autouse=True)
def _ann(stack: Stack) -> None:
    stack.user("ann-lee", password=PASSWORD)


@pytest.fixture
def ann(stack: Stack) -> Person:
    """Somebody who is signed in."""
    person = stack.person()
    assert person.login("ann-lee", PASSWORD).status_code == 200
    assert person.username == "ann-lee"
    return person


def key_of(person: Person) -> str:
    """Return what the browser's cookie holds now."""
    return person.http.cookies["sessionid"]


def thief_with(stack: Stack, key: str) -> Person:
    """Return a stranger who sends this as the session's cookie."""
    thief = stack.person()
    thief.http.cookies.set("sessionid", key)
    return thief


def test_no_file_of_the_site_holds_a_session_s_key(stack: Stack, ann: Person) -> None:
    """T-84, ASVS 5.0, 16.2.5: neither database nor write-ahead log, neither Redis' file nor any process's log."""
    ann.open().wait_for("connection", state="live")
    assert ann.ask(number()).status_code == 202
    key, queue = key_of(ann).encode(), stack.settings["QUEUE_NAME"].encode()
    wait_until(lambda: any(queue in path.read_bytes() for path in stack.folder.rglob("*.aof")), 10)
    named = {path.name: path.read_bytes() for path in stack.folder.rglob("*") if path.is_file()}
    assert any(hashed(key_of(ann)).encode() in content for content in named.values()), "or this test means nothing"
    assert [name for name, content in named.items() if key in content] == []


def test_who_has_read_the_table_has_no_session(stack: Stack, ann: Person) -> None:
    """T-37: what stands in the table is no cookie, in whole or in part."""
    [row] = stack.rows("SELECT session_key FROM django_session WHERE session_key = ?", hashed(key_of(ann)))
    stolen = row["session_key"]
    for key in (stolen, stolen[:32], stolen[8:], hashed(stolen)):
        thief = thief_with(stack, key)
        assert thief.username == ""
        with pytest.raises(InvalidStatus):
            thief.open()
    assert ann.username == "ann-lee"


def test_who_can_write_the_table_cannot_put_somebody_s_session_in_his_own(stack: Stack, ann: Person) -> None:
    """A row's content is signed for the row's own key."""
    eve, mobile = stack.person(), number()
    eve.ask(mobile)
    eve.enter(stack.phone.code_for(mobile))
    [row] = stack.rows("SELECT session_data FROM django_session WHERE session_key = ?", hashed(key_of(ann)))
    for key in (key_of(eve), "e" * 32):
        stack.rows("DELETE FROM django_session WHERE session_key = ?", hashed(key))
        stack.rows(
            "INSERT INTO django_session (session_key, session_data, expire_date) VALUES (?, ?, '2999-01-01 00:00:00')",
            hashed(key), row["session_data"],
        )  # fmt: skip
        thief = thief_with(stack, key)
        assert thief.username == ""
        with pytest.raises(InvalidStatus):
            thief.open()
    assert ann.username == "ann-lee"


def test_a_session_s_key_has_more_random_bits_than_anybody_can_try(stack: Stack) -> None:
    """ASVS 5.0, 7.2.3: a visitor's 128, a session's 165."""
    visitors = set()
    for _ in range(20):
        person = stack.person()
        person.get()
        visitors.add(key_of(person))
    assert all(VISITOR.fullmatch(key) for key in visitors)
    assert len({key[:32] for key in visitors}) == 20
    letters = {letter for key in visitors for letter in key[:32]}
    assert len(letters) == 16, "or they are not drawn from all 16"
    own = {SessionStore()._get_new_session_key() for _ in range(20)}
    assert len(own) == 20
    assert all(KEY.fullmatch(key) for key in own)
    assert len({letter for key in own for letter in key}) == 36, "or they are not drawn from all 36"
    assert 32 * math.log2(36) >= 128


@pytest.mark.parametrize(
    "made_up",
    [
        "a" * 32,
        "a" * 72,
        "A" * 32,
        "a" * 31,
        "a" * 33,
        "a" * 3000,
        "' OR 1=1 --",
        "../../secret_key",
        "%00" * 11,
        "é" * 32,
    ],
)
def test_a_key_that_we_have_not_made_is_never_taken_up(stack: Stack, made_up: str) -> None:
    """T-37: the visitor is given another."""
    before = stack.rows("SELECT count(*) AS n FROM django_session")[0]["n"]
    person = stack.person()
    answer = person.http.get("/login/", headers=[(b"Cookie", f"sessionid={made_up}".encode())])
    assert answer.status_code == 200
    given = key_of(person)
    assert VISITOR.fullmatch(given)
    assert given != made_up
    assert stack.rows("SELECT count(*) AS n FROM django_session")[0]["n"] == before, "who comes by leaves no row"
    assert stack.rows("SELECT 1 FROM django_session WHERE session_key = ?", hashed(made_up)) == []


def test_a_visitor_s_key_is_taken_as_we_have_given_it_or_not_at_all(settings: Any) -> None:
    """T-37: no part of it can be changed, it ends by itself, and it outlives a change of SECRET_KEY."""
    planted = "0123456789abcdef" * 2
    key = visitor_key(planted)
    assert SessionStore(key).load() == {"browser": planted}
    for at in range(len(key)):
        changed = key[:at] + ("0" if key[at] != "0" else "1") + key[at + 1 :]
        assert SessionStore(changed).session_key is None
    life, settings.SESSION_COOKIE_AGE = settings.SESSION_COOKIE_AGE, -1
    assert visitor(key) is None
    settings.SESSION_COOKIE_AGE = life
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another: one two three four five six seven"
    derive.cache_clear()
    assert visitor(key) == planted
    settings.SECRET_KEY_FALLBACKS = []
    assert visitor(key) is None
    derive.cache_clear()


def test_expired_sessions_are_cleared_away_and_no_others(stack: Stack, ann: Person) -> None:
    """`manage.py clearsessions` works on our rows."""
    old, mobile = stack.person(), number()
    old.ask(mobile)
    old.enter(stack.phone.code_for(mobile))
    expired = hashed(key_of(old))
    stack.rows("UPDATE django_session SET expire_date = '2020-01-01 00:00:00' WHERE session_key = ?", expired)
    stack.manage("clearsessions")
    assert stack.rows("SELECT 1 FROM django_session WHERE session_key = ?", expired) == []
    assert ann.username == "ann-lee"


ROUND = """
import asyncio
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.models import Session
from accounts.sessions import SessionStore, hashed

def rows(key):
    return [Session.objects.filter(session_key=name).count() for name in (key, hashed(key))]

def plainly():
    store = SessionStore()
    store["said"] = "yes"
    store.save()
    first = store.session_key
    assert rows(first) == [0, 1] and store.exists(first) and SessionStore(first)["said"] == "yes"
    slow = SessionStore(first)
    slow["said"] = "late"
    store.cycle_key()
    store.save()
    assert rows(first) == [0, 0] and rows(store.session_key) == [0, 1] and not store.exists(first)
    assert SessionStore(store.session_key)["said"] == "yes"
    try:
        slow.save()
    except UpdateError:
        pass
    else:
        raise AssertionError("a session that has ended was saved")
    last = store.session_key
    store.flush()
    assert rows(last) == [0, 0]

async def waiting():
    count = lambda key: asyncio.to_thread(rows, key)
    store = SessionStore()
    await store.aset("said", "yes")
    await store.asave()
    first = store.session_key
    assert await count(first) == [0, 1] and await store.aexists(first)
    assert await SessionStore(first).aget("said") == "yes"
    await store.acycle_key()
    await store.asave()
    assert await count(first) == [0, 0] and await count(store.session_key) == [0, 1]
    last = store.session_key
    await store.aflush()
    assert await count(last) == [0, 0]
    assert await SessionStore(last).aget("said") is None

plainly()
asyncio.run(waiting())
print("whole")
"""


def test_every_way_to_a_row_goes_by_the_key_s_hash(stack: Stack) -> None:
    """Django has each of them twice, for threads and for event loops. T-42: and none brings back what has ended."""
    assert "whole" in stack.manage("shell", "-v0", "-c", ROUND)
