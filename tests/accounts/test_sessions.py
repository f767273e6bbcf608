"""Sessions against whoever has got hold of the database: what is in it signs nobody in."""

from __future__ import annotations

import math
import time
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import InvalidStatus

from accounts.sessions import KEY, VISITOR, SessionStore, hashed, visitor, visitor_key
from project.keys import derive
from tests.support.numbers import number
from tests.support.stack import REAL, Stack, wait_until
from tests.support.together import together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from httpx import Response

    from tests.support.person import Person

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
from django.contrib.sessions.exceptions import SessionInterrupted
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
    assert rows(first) == [0, 1] and rows(store.session_key) == [0, 1] and not store.exists(first)
    assert SessionStore(first).get("said") is None, "what is left says only where the session went"
    assert SessionStore(store.session_key)["said"] == "yes"
    try:
        slow.save()
    except UpdateError:
        pass
    else:
        raise AssertionError("a session that has ended was saved")
    last = store.session_key
    SessionStore(first).flush()
    assert rows(first) == rows(last) == [0, 0], "a logout with the key from before ends it as well"
    try:
        store.cycle_key()
    except SessionInterrupted:
        pass
    else:
        raise AssertionError("a session that has ended was given another key")
    store = SessionStore(last)
    store.flush()
    store["said"] = "again"
    store.save()
    assert store.session_key != last

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
    assert await count(first) == [0, 1] and await count(store.session_key) == [0, 1]
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


# --- What is under way when a session ends ---

# More than enough: without the care for it, most rounds fail.
ROUNDS = 12
NEW = "a battery staple that is correct"


def beside(person: Person) -> Person:
    """Return another tab: the same cookies, and a jar that the other's answers do not change."""
    tab = type(person)(person.url)
    for cookie in person.http.cookies.jar:
        tab.http.cookies.jar.set_cookie(copy(cookie))
    return tab


def all_keys(*people: Person) -> set[str]:
    """Return every session's key that these tabs were left with."""
    return {key_of(person) for person in people if "sessionid" in person.http.cookies}


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site whose hashes take as long as in production, so that much happens meanwhile."""
    with Stack(tmp_path_factory.mktemp("slow"), workers=0, **REAL) as slow:
        yield slow


# Before, in the middle of and after the first of two hashes; the moments between are long.
MOMENTS = [0.0, 0.1, 0.4, *(pytest.param(late, marks=pytest.mark.long) for late in (0.05, 0.2))]


@pytest.mark.parametrize("late", MOMENTS)
def test_a_logout_ends_the_session_whose_password_is_being_changed(slow: Stack, late: float) -> None:
    """T-42: whichever of the two is faster, no cookie of either answer is signed in afterwards."""
    for n in range(ROUNDS // 3):
        name = f"leaves{int(late * 100)}-{n}"
        slow.user(name, password=PASSWORD)
        person = slow.person()
        assert person.login(name, PASSWORD).status_code == 200
        tab = beside(person)

        def leave(person: Person = person) -> int:
            time.sleep(late)
            return person.logout().status_code

        def change(tab: Person = tab) -> int:
            return tab.post("/password/", current=PASSWORD, new=NEW).status_code

        together([change, leave])
        living = [key for key in all_keys(person, tab) if thief_with(slow, key).username]
        assert living == [], f"round {n}"
        tab.close()


def test_a_logout_with_the_cookie_from_before_a_new_password_ends_the_session_of_after(stack: Stack) -> None:
    """T-42: another tab sent it before it had the new cookie."""
    stack.user("old-cookie", password=PASSWORD)
    person = stack.person()
    assert person.login("old-cookie", PASSWORD).status_code == 200
    tab = beside(person)
    assert person.post("/password/", current=PASSWORD, new=NEW).json()["code"] == "OK"
    assert person.username == "old-cookie"
    assert tab.logout().status_code == 200
    assert person.username == ""


def test_a_logout_beside_a_poll_after_a_change_of_secret_key_leaves_no_living_session(tmp_path: Path) -> None:
    """T-42, T-43: nor beside a page. Neither of them gives the session another key."""
    with Stack(tmp_path / "rotated", workers=0) as site:
        site.user("rotates", password=PASSWORD)
        people = [site.person() for _ in range(ROUNDS)]
        for person in people:
            assert person.login("rotates", PASSWORD).status_code == 200
        old = site.settings["SECRET_KEY"]
        web = site.webs[0]
        web.kill()
        web.environment |= {"SECRET_KEY": old[::-1] + "-new", "SECRET_KEY_FALLBACKS": old}
        web.start()
        site.wait_for_web()
        for n, person in enumerate(people):
            tabs = [beside(person) for _ in range(3)]
            looks = [partial(tab.get, path) for tab, path in zip(tabs, ("/state/", "/", "/password/"), strict=True)]
            calls: list[Callable[[], Response]] = [person.logout, *looks]
            together(calls)
            living = [key for key in all_keys(person, *tabs) if thief_with(site, key).username]
            assert living == [], f"round {n}"
            for tab in tabs:
                tab.close()


def test_a_new_password_that_is_sent_twice_signs_nobody_out(slow: Stack) -> None:
    """The browser takes the cookies of both answers, in whichever order they come."""
    for n in range(ROUNDS // 2):
        slow.user(f"twice-{n}", password=PASSWORD)
        person = slow.person()
        assert person.login(f"twice-{n}", PASSWORD).status_code == 200
        tabs = [person, beside(person), beside(person)]
        calls: list[Callable[[], Response]] = [
            partial(tab.page, "/password/", current=PASSWORD, new=NEW) for tab in tabs[:2]
        ]
        calls.append(partial(tabs[2].get, "/state/"))
        answers: list[Response] = together(calls)[:2]
        for order in (answers, answers[::-1]):
            browser = beside(person)
            browser.http.cookies.clear()
            browser.http.cookies.set("sessionid", "a" * 32)
            for answer in order:
                for line in answer.headers.get_list("set-cookie"):
                    name, value = line.split(";")[0].split("=", 1)
                    browser.http.cookies.set(name, value)
            assert browser.username == f"twice-{n}", [(a.status_code, a.headers.get("location")) for a in order]
            browser.close()
        assert {answer.status_code for answer in answers} == {302}
        assert {answer.headers["location"] for answer in answers} == {"/password/"}


def test_a_request_with_an_old_cookie_takes_nobody_s_new_one_away(stack: Stack, ann: Person) -> None:
    """T-42: an answer that came late would delete the cookie that a login in another tab has brought."""
    old = beside(ann)
    ann.logout()
    for answer in (old.get("/password/"), old.get("/state/"), old.page("/password/", current=PASSWORD, new=NEW)):
        assert "sessionid" not in answer.headers.get("set-cookie", "")


def test_signing_nobody_out_leaves_no_row(stack: Stack) -> None:
    """A stranger could fill the disk with it, for nothing."""

    def count() -> int:
        return int(stack.rows("SELECT count(*) AS n FROM django_session")[0]["n"])

    before = count()
    for shown in (None, "a" * 32, "nonsense"):
        person = stack.person()
        person.get()
        for _ in range(3):
            key = key_of(person)
            if shown:
                person.take_session(shown)
            assert person.logout().status_code == 200
            assert VISITOR.fullmatch(key_of(person))
            assert key_of(person) != key, "the browser has another id"
    assert count() == before


def test_whoever_was_signed_out_by_a_new_password_has_a_live_page_with_the_next(stack: Stack) -> None:
    """T-35: the page brings a cookie that its socket takes, whatever the former session's was good for."""
    stack.user("ivy-fox", password=PASSWORD)
    here, far = stack.person(), stack.person()
    for person in (here, far):
        assert person.login("ivy-fox", PASSWORD).status_code == 200
    before = key_of(far)
    new = "another horse, another battery"
    assert here.post("/password/", current=PASSWORD, new=new).status_code == 200
    assert far.get("/login/").status_code == 200
    assert key_of(far) != before
    far.open().wait_for("connection", state="live")
    assert (here.username, far.username) == ("ivy-fox", "")
