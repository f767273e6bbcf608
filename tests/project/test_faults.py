"""What still works when a part is missing, what the visitor is told, and that nothing happens later by surprise."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import threading
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import InvalidHandshake, InvalidStatus

from tests.support.numbers import number
from tests.support.stack import Stack, wait_until
from tests.support.together import together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx

    from tests.support.person import Page, Person

PASSWORD = "correct horse battery"
# Two codes an hour for a number, so that a test can reach the limit.
PER_HOUR = 2


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site with somebody who has a password."""
    with Stack(tmp_path_factory.mktemp("faults"), SMS_COOLDOWN="30", SMS_PER_HOUR=str(PER_HOUR)) as stack:
        stack.user("margaret", password=PASSWORD)
        yield stack


@pytest.fixture(autouse=True)
def healthy(site: Stack) -> Iterator[None]:
    """Begin each test with a site that is well, and see to it that none leaves a traceback behind."""
    wait_until(lambda: site.get("/readyz").status_code == 200, 20, "the site did not recover")
    logged = len(site.webs[0].text())
    yield
    assert "Internal Server Error" not in site.webs[0].text()[logged:]


def says_unavailable(answer: httpx.Response) -> None:
    """Check that an answer says in its own form that something is missing."""
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) >= 1
    if answer.headers["Content-Type"] == "application/json":
        assert answer.json()["code"] == "UNAVAILABLE"
        assert answer.json()["errmsg"]
    assert "Traceback" not in answer.text


def rows_of(stack: Stack, mobile: str) -> list[str]:
    """Return the states of a number's deliveries."""
    return [row["state"] for row in stack.deliveries() if row["mobile"] == f"+86{mobile}"]


def is_sent(stack: Stack, mobile: str) -> bool:
    """Tell whether the one delivery to a number is sent."""
    return rows_of(stack, mobile) == ["sent"]


def pass_cooldown(stack: Stack) -> None:
    """Make every cooldown a thing of the past, in Redis and in the rows."""
    for key in stack.redis.scan_iter("*:cooldown:*"):
        stack.redis.delete(key)
    stack.rows("UPDATE tasks_delivery SET resend_at = created_at")


def nothing_came(stack: Stack, *mobiles: str) -> None:
    """Check that numbers got nothing, once a later request of somebody else has been worked off."""
    person, other = stack.person(), number()
    wait_until(lambda: person.ask(other).status_code == 202, 15, "the site does not take requests again")
    assert stack.phone.code_for(other)
    for mobile in mobiles:
        assert rows_of(stack, mobile) == []
        assert not any(message.to == f"+86{mobile}" for message in stack.phone.messages)


def walk(person: Person) -> dict[str, float]:
    """Go through all that needs no Redis, and return how many seconds each step took."""
    steps: list[tuple[str, Callable[[], httpx.Response]]] = [
        ("home", lambda: person.get("/")),
        ("login page", lambda: person.get("/login/")),
        ("poll", lambda: person.get("/state/")),
        ("wrong password", lambda: person.login("margaret", "wrong" + PASSWORD)),
        ("password", lambda: person.login("margaret", PASSWORD)),
        ("home, signed in", lambda: person.get("/")),
        ("logout", person.logout),
    ]
    took: dict[str, float] = {}
    for name, step in steps:
        began = time.monotonic()
        answer = step()
        took[name] = time.monotonic() - began
        assert answer.status_code == (422 if name == "wrong password" else 200), f"{name}: {answer.text}"
        if name == "home, signed in":
            assert 'data-user="margaret"' in answer.text
    assert person.username == ""
    return took


def pages_and_passwords_work(person: Person, usual: dict[str, float], more: float) -> None:
    """Go through all that needs no Redis, and wait at no step so many seconds more than while all was well.

    Not for so long in all: on a busy machine a hash alone takes seconds.
    """
    slowest = max(usual.values())
    for name, took in walk(person).items():
        assert took < slowest + more, (name, usual)


# --- Redis


def test_without_redis_people_sign_in_by_password_and_codes_are_refused(site: Stack) -> None:
    """T-64: fail closed, say so, and do nothing of it later. A code that is on its way already is not lost."""
    holder, person = site.person(), site.person()
    held, asked, typed, clicked = (number() for _ in range(4))
    assert holder.ask(held).status_code == 202
    code = site.phone.code_for(held)
    usual = walk(person)
    site.kill_valkey()
    try:
        pages_and_passwords_work(person, usual, 4)
        answer = person.ask(asked)
        says_unavailable(answer)
        assert answer.headers["Content-Type"] == "application/json"
        answer = person.page("/code/", mobile=typed)
        says_unavailable(answer)
        assert "<html" in answer.text
        answer = person.htmx("/code/", mobile=clicked)
        says_unavailable(answer)
        assert "<html" not in answer.text
        says_unavailable(holder.enter(code))
        says_unavailable(holder.enter("000000"))
        answer = site.get("/readyz")
        assert (answer.status_code, answer.json()["reason"]) == (503, "redis")
        assert site.get("/healthz").status_code == 200
    finally:
        site.start_valkey()
    # The guesses did not count, and the code was not used up.
    wait_until(lambda: site.get("/readyz").status_code == 200, 20)
    assert holder.enter(code).status_code == 200
    nothing_came(site, asked, typed, clicked)


def test_an_sms_that_was_accepted_before_redis_died_is_sent_after_it(site: Stack) -> None:
    """T-66: the row is the message. It goes out while Redis is away, or as soon as it is back."""
    person, mobile = site.person(), number()
    site.hang(site.workers[0])
    try:
        assert person.ask(mobile).status_code == 202
        site.kill_valkey()
    finally:
        site.workers[0].signal(signal.SIGCONT)
    site.start_valkey()
    code = site.phone.code_for(mobile)
    wait_until(partial(is_sent, site, mobile), 30)
    assert len([m for m in site.phone.messages if m.to == f"+86{mobile}"]) == 1
    assert person.enter(code).status_code == 200


def test_a_hung_redis_holds_nobody_up(site: Stack) -> None:
    """T-65: it takes connections and says nothing. It heals without a restart."""
    person, mobile = site.person(), number()
    usual = walk(person)
    # Over a connection that is open already: the hung server gets the request, and does it when it wakes up.
    assert person.ask(number()).status_code == 202
    site.signal_valkey(signal.SIGSTOP)
    try:
        began = time.monotonic()
        says_unavailable(person.ask(mobile))
        says_unavailable(person.enter("123456"))
        assert time.monotonic() - began < 12
        # A second for a push that nobody takes, and room for a busy machine.
        pages_and_passwords_work(person, usual, 5)
    finally:
        site.signal_valkey(signal.SIGCONT)
    nothing_came(site, mobile)


def test_a_hung_redis_leaves_no_gate_shut(site: Stack) -> None:
    """T-65: nothing was sent, so no cooldown holds the number up once it is sure that nothing will be."""
    person, mobile = site.person(), number()
    # Over a connection that is open already: the hung server gets the request, and does it when it wakes up.
    assert person.ask(number()).status_code == 202
    site.signal_valkey(signal.SIGSTOP)
    try:
        says_unavailable(person.ask(mobile))
    finally:
        site.signal_valkey(signal.SIGCONT)
    wait_until(lambda: person.ask(mobile).status_code == 202, 20, "the gate was left shut")


@pytest.mark.parametrize(
    ("fault", "cure", "code"),
    [
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "OOM"),
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "READONLY"),
        ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0", "NOREPLICAS"),
    ],
    ids=["full", "read-only", "alone"],
)
def test_a_redis_that_refuses_to_write_is_as_good_as_away(site: Stack, fault: str, cure: str, code: str) -> None:
    """T-67: full, a read-only replica, or without its replicas. No limiter is passed by, and the log says which."""
    person, mobile = site.person(), number()
    usual = walk(person)
    logged = len(site.webs[0].text())
    site.redis.execute_command(*fault.split())  # type: ignore[no-untyped-call]
    try:
        pages_and_passwords_work(person, usual, 4)
        for _ in range(3):
            says_unavailable(person.ask(mobile))
        assert f"code refused: redis {code}\n" in site.webs[0].text()[logged:]
        for _ in range(3):
            answer = site.get("/readyz")
            assert (answer.status_code, answer.json()) == (503, {"ready": False, "reason": "redis"})
        assert site.webs[0].text()[logged:].count(f"not ready: redis {code}\n") == 1
    finally:
        site.redis.execute_command(*cure.split())  # type: ignore[no-untyped-call]
    nothing_came(site, mobile)
    assert person.ask(mobile).status_code == 202
    assert person.enter(site.phone.code_for(mobile)).status_code == 200


def test_an_emptied_redis_forgets_no_limit(site: Stack) -> None:
    """T-7, T-66: the limits are counted anew from the rows; codes from before are gone, and the visitor is told so."""
    person, mobile, other = site.person(), number(), number()
    for nth in range(1, PER_HOUR + 1):
        assert person.ask(mobile).status_code == 202
        code = site.phone.code_for(mobile, nth)
        pass_cooldown(site)
    assert person.ask(mobile).json()["code"] == "SMS_LIMIT", "or this test means nothing"
    site.empty_valkey()
    assert site.redis.keys("*:counted:any:*") == []
    wait_until(lambda: site.get("/readyz").status_code == 200, 20)
    answer = person.ask(mobile)
    assert (answer.status_code, answer.json()["code"]) == (429, "SMS_LIMIT")
    assert int(answer.headers["Retry-After"]) > 3000, "the hour runs from the first request, not from the restart"
    answer = person.enter(code)
    assert (answer.status_code, answer.json()["code"]) == (422, "SMS_CODE_EXPIRED")
    assert person.ask(other).status_code == 202
    assert person.enter(site.phone.code_for(other)).status_code == 200


def test_a_redis_without_its_scripts_gets_them_again(site: Stack) -> None:
    """A failover or SCRIPT FLUSH forgets them."""
    person, mobile = site.person(), number()
    assert person.ask(mobile).status_code == 202
    site.redis.script_flush()
    other = number()
    assert person.ask(other).status_code == 202
    assert person.enter(site.phone.code_for(other)).status_code == 200


def let_in(person: Person) -> Page | None:
    """Try for a socket once, as a page does again and again, however it was refused."""
    with contextlib.suppress(InvalidHandshake):
        return person.open()
    return None


def test_sockets_without_redis_are_refused_plainly_and_come_back(site: Stack) -> None:
    """T-64: the page polls meanwhile. No attempt to connect leaves a traceback behind."""
    person, newcomer, mobile, other = site.person(), site.person(), number(), number()
    tab = person.open()
    tab.wait_for("connection", state="live")
    assert newcomer.token
    logged = len(site.webs[0].text())
    site.kill_valkey()
    try:
        with pytest.raises(InvalidStatus) as refusal:
            newcomer.open()
        assert refusal.value.response.status_code == 403
        assert newcomer.get("/state/").status_code == 200
        said = site.webs[0].text()[logged:]
        assert "Exception inside application" not in said
    finally:
        site.start_valkey()
    wait_until(lambda: site.get("/readyz").status_code == 200, 20)
    late = wait_until(lambda: let_in(newcomer), 10, "no page comes back")
    assert late
    late.wait_for("connection", state="live")
    tab.drain(0.1)
    # A tab that is sent for another socket takes one, before the old one is closed.
    tab = tab if tab.closed is None and "live" not in tab.leaves else person.open()
    # A page is wrong for ten seconds at most, from when the SMS was sent: its push may come before the server listens.
    assert person.ask(mobile).status_code == 202
    wait_until(partial(is_sent, site, mobile), 30)
    tab.wait_for("delivery", 15, state="sent")
    assert newcomer.ask(other).status_code == 202
    wait_until(partial(is_sent, site, other), 30)
    late.wait_for("delivery", 15, state="sent")


# --- The database


@contextmanager
def locked(stack: Stack) -> Iterator[None]:
    """Hold the database so that nobody else can write."""
    with contextlib.closing(sqlite3.connect(stack.folder / "latchkey.sqlite3", timeout=10)) as connection:
        connection.isolation_level = None
        connection.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


def test_a_locked_database_promises_nothing(site: Stack) -> None:
    """T-77: whoever needs to write is told to come back, the gate is opened again, and nothing is half done."""
    asker, newcomer, guest, member = (site.person() for _ in range(4))
    mobile, other = number(), number()
    for person in (asker, newcomer, guest, member):
        assert person.token
    # No session yet, so this one's has to be written as well.
    newcomer.http.cookies.delete("sessionid")
    assert member.login("margaret", PASSWORD).status_code == 200
    answers: dict[str, httpx.Response] = {}
    steps: dict[str, Callable[[], httpx.Response]] = {
        "ask": lambda: asker.ask(mobile),
        "ask for the first time": lambda: newcomer.ask(other),
        "login": lambda: guest.login("margaret", PASSWORD),
        "login page": lambda: guest.page("/login/", username="margaret", password=PASSWORD),
        "logout": member.logout,
    }

    def take(name: str) -> None:
        answers[name] = steps[name]()

    threads = [threading.Thread(target=take, args=(name,)) for name in steps]
    with locked(site):
        for thread in threads:
            thread.start()
        # Readers are not held up meanwhile.
        for path in ("/healthz", "/state/"):
            assert site.get(path).status_code == 200
        assert member.username == "margaret"
        for thread in threads:
            thread.join()
    for name, answer in answers.items():
        assert answer.status_code == 503, f"{name}: {answer.status_code} {answer.text}"
        says_unavailable(answer)
    assert "<html" in answers["login page"].text
    assert member.username == "margaret", "not half signed out"
    assert guest.username == ""
    # The gates are open, so both may ask at once, and only this is sent.
    for person, wanted in ((asker, mobile), (newcomer, other)):
        assert person.ask(wanted).status_code == 202
        assert person.enter(site.phone.code_for(wanted)).status_code == 200
        # The phone has it before its row says so.
        wait_until(partial(is_sent, site, wanted), 30)


def test_who_asks_while_the_database_is_held_waits_for_it_and_not_for_all_before_him(site: Stack) -> None:
    """T-77: each is told when SQLite's five seconds are over. In turn, nobody would take the last answer."""
    people = {number(): site.person() for _ in range(12)}
    assert all(person.token for person in people.values())
    with locked(site):
        answers = together([partial(person.ask, mobile) for mobile, person in people.items()])
    for answer in answers:
        says_unavailable(answer)
    assert not any(rows_of(site, mobile) for mobile in people)


def test_nothing_is_sent_while_the_attempt_cannot_be_written(site: Stack) -> None:
    """T-77: no SMS without an attempt row, so a locked database means no SMS; it leaves when the lock is gone."""
    person, mobile = site.person(), number()
    worker = site.workers[0]
    site.hang(worker)
    logged = len(worker.text())
    try:
        assert person.ask(mobile).status_code == 202
        with locked(site):
            worker.signal(signal.SIGCONT)
            # The worker has tried, and has given the lock up.
            wait_until(
                lambda: "the database is away (database OperationalError SQLITE_BUSY)" in worker.text()[logged:], 30
            )
            assert not any(message.to == f"+86{mobile}" for message in site.phone.messages)
    finally:
        site.workers[0].signal(signal.SIGCONT)
    assert person.enter(site.phone.code_for(mobile)).status_code == 200
    wait_until(partial(is_sent, site, mobile), 30)


@contextmanager
def unreadable(stack: Stack) -> Iterator[None]:
    """Take away what every page reads, so that any look at it is an error of the database."""
    moved = [("django_session", "moved_session"), ("tasks_delivery", "moved_delivery")]
    for name, other in moved:
        stack.rows(f"ALTER TABLE {name} RENAME TO {other}")
    try:
        yield
    finally:
        for name, other in moved:
            stack.rows(f"ALTER TABLE {other} RENAME TO {name}")


def test_an_unreadable_database_is_a_plain_503_and_no_socket_outlives_it(site: Stack) -> None:
    """A page cannot be made, and says so. An open socket can no longer know whose it is, so it goes (T-41)."""
    person, mobile = site.person(), number()
    site.hang(site.workers[0])
    logged = len(site.webs[0].text())
    try:
        assert person.ask(mobile).status_code == 202
        tab = person.open()
        # While an SMS is on its way, the socket looks every five seconds.
        tab.wait_for("delivery", state="queued")
        before = len(tab.frames)
        with unreadable(site):
            for path in ("/", "/login/", "/state/"):
                answer = person.get(path)
                says_unavailable(answer)
                assert "<html" in answer.text
            says_unavailable(person.ask(mobile))
            says_unavailable(person.enter("123456"))
            says_unavailable(person.login("margaret", PASSWORD))
            assert site.get("/healthz").status_code == 200
            assert site.get("/readyz").json()["reason"] == "database"
            with pytest.raises(InvalidStatus) as refusal:
                person.open()
            assert refusal.value.response.status_code == 403
            tab.wait_for_close(8)
    finally:
        site.workers[0].signal(signal.SIGCONT)
    shown = "".join(tab.frames[before:])
    assert 'id="live"' in shown, "the page is sent for another socket"
    assert 'id="delivery"' not in shown
    assert "Traceback" not in site.webs[0].text()[logged:]
    tab = person.open()
    tab.wait_for("delivery", state="sent")


# --- daphne


def test_an_accepted_sms_needs_no_server_to_be_sent(site: Stack) -> None:
    """T-71: daphne is killed after it has said yes."""
    person, mobile = site.person(), number()
    site.hang(site.workers[0])
    try:
        assert person.ask(mobile).status_code == 202
        site.webs[0].kill()
    finally:
        site.workers[0].signal(signal.SIGCONT)
    wait_until(partial(is_sent, site, mobile), 30)
    site.webs[0].start()
    site.wait_for_web()
    assert person.state["state"] == "sent"
    assert person.enter(site.phone.code_for(mobile)).status_code == 200
