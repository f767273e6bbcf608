"""The live page over its socket: every tab shows the truth, and nobody hears what is not theirs."""

from __future__ import annotations

import contextlib
import json
import random
import re
import signal
import sqlite3
import threading
import time
from typing import TYPE_CHECKING

import pytest
from channels.layers import get_channel_layer
from django.conf import settings
from websockets.exceptions import InvalidStatus

from accounts.sessions import hashed
from tests.support.numbers import number
from tests.support.person import leaves
from tests.support.raw import RawSocket, frame
from tests.support.stack import Stack, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.person import Page, Person

LEAVES = {"account", "delivery", "countdown", "connection"}
# Short, so that a test may see it end.
COOLDOWN = 4


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site with a short cooldown that the tests of this file share."""
    with Stack(tmp_path_factory.mktemp("socket"), SMS_COOLDOWN=str(COOLDOWN)) as stack:
        yield stack


@pytest.fixture(scope="module", autouse=True)
def idle(site: Stack) -> tuple[Person, Page, float]:
    """A tab that is open from the start, and when that was. Nobody touches it until the last test."""
    person = site.person()
    return person, arrived(person), time.monotonic()


def arrived(person: Person, path: str = "/ws/") -> Page:
    """Open a tab and wait until it has been told everything."""
    page = person.open(path)
    page.wait_for("connection", state="live")
    return page


def renewed(page: Page, person: Person) -> Page:
    """Do what a browser does with a pushed #live: leave this socket, open another with the cookies of now."""
    page.wait_for("live")
    page.wait_for_close()
    return arrived(person)


def wait_for_seconds(page: Page, seconds: int) -> None:
    """Wait until the countdown shows a number."""
    wait_until(lambda: page.receive(0.5) and int(page.leaves["countdown"]["data-seconds"]) == seconds)


def sign_in(stack: Stack, person: Person) -> str:
    """Sign somebody in with a code, as a newcomer, and return the username."""
    mobile = number()
    assert person.ask(mobile).status_code == 202
    answer = person.enter(stack.phone.code_for(mobile))
    assert answer.status_code == 200, answer.text
    username: str = answer.json()["username"]
    return username


def own_group(stack: Stack, mobile: str) -> str:
    """Return the group of the browser that asked for a number last."""
    rows = stack.rows("SELECT browser FROM tasks_delivery WHERE mobile = ? ORDER BY created_at", f"+86{mobile}")
    return f"browser.{rows[-1]['browser']}"


def push(stack: Stack, group: str, event: str) -> int:
    """Send an event to a group as the worker does, and return how many servers listen."""
    message = get_channel_layer().serialize({"type": event, "group": group})
    return int(stack.redis.publish(f"{settings.KEY_PREFIX}__group__{group}", message))


def session_key(person: Person) -> str:
    return person.http.cookies["sessionid"]


def refused(person: Person, path: str = "/ws/", **headers: str) -> int:
    """Try to open a tab's socket and return the status that it is refused with."""
    with pytest.raises(InvalidStatus) as refusal:
        person.open(path, **headers)
    return int(refusal.value.response.status_code)


# --- What a page is told when it comes


def test_a_first_page_is_told_everything(site: Stack) -> None:
    page = arrived(site.person())
    assert set(page.leaves) >= LEAVES
    assert page.leaves["account"]["data-user"] == ""
    assert page.leaves["delivery"]["data-state"] == ""
    assert page.leaves["countdown"]["data-seconds"] == "0"
    assert page.leaves["connection"]["data-state"] == "live"


def test_a_tab_that_opens_late_is_told_where_the_sms_is(site: Stack) -> None:
    person = site.person()
    assert person.ask(number()).status_code == 202
    site.wait_for_state("sent")
    page = arrived(person)
    assert page.leaves["delivery"]["data-state"] == "sent"
    assert page.leaves["delivery"]["data-attempt"] == "1"
    assert 1 <= int(page.leaves["countdown"]["data-seconds"]) <= COOLDOWN


def test_no_page_misses_what_happens_while_it_connects(site: Stack) -> None:
    """Who reads before joining the group loses what is pushed in between. Forty pages arrive while their SMS moves."""
    person, mobile = site.person(), number()
    assert person.ask(mobile).status_code == 202
    site.wait_for_state("sent")
    group, dice = own_group(site, mobile), random.Random(1)
    began = time.monotonic()
    arrived(person).close()
    took = time.monotonic() - began
    for nth in range(40):
        opened: list[Page] = []
        opening = threading.Thread(target=lambda opened=opened: opened.append(person.open()))
        opening.start()
        # Any moment from the first byte to the replay.
        time.sleep(dice.uniform(0, 1.3 * took))
        state = ("delivered", "sent")[nth % 2]
        # For the server, row and push are one moment.
        site.hang(site.webs[0])
        site.rows("UPDATE tasks_delivery SET state = ? WHERE mobile = ?", state, f"+86{mobile}")
        push(site, group, "delivery.changed")
        site.webs[0].signal(signal.SIGCONT)
        opening.join()
        # Far sooner than the look that a page takes by itself, which would hide a lost push.
        opened[0].wait_for("delivery", 5, state=state)
        opened[0].close()


# --- Pushes


def test_every_tab_sees_the_sms_move_in_order(site: Stack) -> None:
    person = site.person()
    tabs = [arrived(person), arrived(person)]
    mobile = number()
    site.hang(site.workers[0])
    try:
        assert person.ask(mobile).json()["state"] == "queued"
        for tab in tabs:
            tab.wait_for("delivery", 2, state="queued", attempt="0")
    finally:
        site.workers[0].signal(signal.SIGCONT)
    for tab in tabs:
        tab.wait_for("delivery", state="sent", attempt="1")
        assert tab.history in (
            [("", 0), ("queued", 0), ("sending", 1), ("sent", 1)],
            # The dev phone takes a few milliseconds, so a page may read the row when it is over.
            [("", 0), ("queued", 0), ("sent", 1)],
        )


def test_the_countdown_is_the_servers_and_ends_at_zero(site: Stack) -> None:
    person, other = site.person(), site.person()
    tab, others = arrived(person), arrived(other)
    assert person.ask(number()).status_code == 202
    wait_for_seconds(tab, COOLDOWN)
    began, shown = time.monotonic(), [COOLDOWN]
    while shown[-1] > 0:
        assert tab.receive(3), "the clock has stopped"
        seconds = int(tab.leaves["countdown"]["data-seconds"])
        if seconds != shown[-1]:
            shown.append(seconds)
    assert shown == list(range(COOLDOWN, -1, -1))
    # The first number may have been shown for a part of its second.
    assert COOLDOWN - 1.2 <= time.monotonic() - began <= COOLDOWN + 1
    # The clock shows its own leaf alone; a page that looks by itself is shown them all.
    assert [text for text in tab.drain(1.3) if set(leaves(text)) == {"countdown"}] == [], "it went on after the end"
    assert others.news(0.1) == [], "a page without a countdown hears the clock"


def test_pushes_are_fragments_without_secrets(site: Stack) -> None:
    """T-13: whatever came over the socket in a whole login, none of it is a form, JSON, the code or the number."""
    person, mobile = site.person(), number()
    tab = arrived(person)
    assert person.ask(mobile).status_code == 202
    tab.wait_for("delivery", state="sent")
    code = site.phone.code_for(mobile)
    again = arrived(person)
    assert person.enter(code).status_code == 200
    last = renewed(tab, person)
    again.wait_for_close()
    frames = tab.frames + again.frames + last.frames
    assert len(frames) > 5, "or this test means nothing"
    assert any("****" in frame for frame in frames), "the number is shown masked"
    for text in frames:
        assert text.lstrip().startswith("<")
        assert "<form" not in text
        assert "csrfmiddlewaretoken" not in text
        assert "<script" not in text
        assert mobile not in re.sub(r"\D", "", text)
        assert code not in text
        with pytest.raises(ValueError, match="Expecting value"):
            json.loads(text)
    for tag in re.findall(r"<\w+ id=[^>]*>", "".join(tab.frames)):
        if any(f'id="{leaf}"' in tag for leaf in LEAVES):
            assert "hx-swap-oob" in tag


def test_each_tab_speaks_its_own_language(site: Stack) -> None:
    person, mobile = site.person(), number()
    words = {
        language: re.search(r'id="delivery".*?</div>', person.get(**{"Accept-Language": language}).text, re.DOTALL)
        for language in ("en", "zh-hans")
    }
    assert words["en"]
    assert words["zh-hans"]
    assert words["en"][0] != words["zh-hans"][0], "not translated, or this test means nothing"
    english, chinese = person.open(), person.open(**{"Accept-Language": "zh-hans"})
    assert person.ask(mobile).status_code == 202
    for tab in (english, chinese):
        # First the clock, which does not wait for an SMS that is long in leaving.
        wait_for_seconds(tab, COOLDOWN - 2)
        tab.wait_for("delivery", state="sent")
    assert re.search(r"[\u4e00-\u9fff]", chinese.leaves["delivery"]["text"])
    assert re.search(r"[\u4e00-\u9fff]", chinese.leaves["countdown"]["text"])
    assert not re.search(r"[\u4e00-\u9fff]", english.leaves["delivery"]["text"])
    assert not re.search(r"[\u4e00-\u9fff]", english.leaves["countdown"]["text"])


# --- Who is signed in


def test_the_header_follows_in_every_tab_of_this_browser_only(site: Stack) -> None:
    person, stranger = site.person(), site.person()
    tabs, strangers = [arrived(person), arrived(person)], arrived(stranger)
    username = sign_in(site, person)
    tabs = [renewed(tab, person) for tab in tabs]
    for tab in tabs:
        assert tab.leaves["account"]["data-user"] == username
    assert person.logout().status_code == 200
    tabs = [renewed(tab, person) for tab in tabs]
    for tab in tabs:
        assert tab.leaves["account"]["data-user"] == ""
        assert tab.leaves["delivery"]["data-state"] == "", "what was asked for before the logout is not shown after it"
    assert strangers.news(0.2) == []
    assert strangers.closed is None


def test_who_planted_a_session_hears_nothing_of_its_login(site: Stack) -> None:
    """T-38: an attacker puts his own anonymous session into the victim's browser and listens with it."""
    attacker, victim = site.person(), site.person()
    attacker.get()
    for cookie in attacker.http.cookies.jar:
        victim.http.cookies.jar.set_cookie(cookie)
    listening = arrived(attacker)
    tab = arrived(victim)
    before = len(listening.frames)
    username = sign_in(site, victim)
    listening.wait_for("live")
    listening.wait_for_close()
    heard = "".join(listening.frames[before:])
    assert "data-state" in heard, "he did hear of the SMS that his session asked for, or this test means nothing"
    assert username not in heard
    assert listening.frames[-1].count("id=") == 1, "a reconnect, and nothing else"
    assert renewed(tab, victim).leaves["account"]["data-user"] == username
    assert refused(attacker) == 403
    # His cookie is still a visitor's, and no longer the victim's: what that one asks for is not for him.
    assert victim.ask(number()).status_code == 202
    assert (attacker.username, attacker.state["state"]) == ("", None)


def test_a_socket_from_before_the_logout_gets_nothing_more(site: Stack) -> None:
    """T-40: the worker pushes for the session's own SMS after the logout."""
    person, mobile = site.person(), number()
    username = sign_in(site, person)
    tab = arrived(person)
    assert tab.leaves["account"]["data-user"] == username
    site.hang(site.workers[0])
    try:
        assert person.ask(mobile).status_code == 202
        group = own_group(site, mobile)
        tab.wait_for("delivery", state="queued")
        before = len(tab.frames)
        assert person.logout().status_code == 200
    finally:
        site.workers[0].signal(signal.SIGCONT)
    assert site.phone.code_for(mobile)
    tab.wait_for_close()
    shown = [leaf for text in tab.frames[before:] for leaf in re.findall(r' id="(\w+)"', text)]
    assert [leaf for leaf in shown if leaf not in {"countdown", "live"}] == []
    wait_until(lambda: push(site, group, "delivery.changed") == 0, what="somebody still listens to that group")


def test_a_logout_that_nobody_announced_is_found_at_the_next_push(site: Stack) -> None:
    """T-40, with the push of the logout lost: the session is looked at before anything is shown."""
    person, mobile = site.person(), number()
    sign_in(site, person)
    tab = arrived(person)
    assert person.ask(mobile).status_code == 202
    tab.wait_for("delivery", state="sent")
    # The last of the delivery's own pushes may still be on its way, and would find it first.
    tab.drain(1)
    before = len(tab.frames)
    site.rows("DELETE FROM django_session WHERE session_key = ?", hashed(session_key(person)))
    listening = push(site, own_group(site, mobile), "delivery.changed")
    assert listening == 1, "or this test means nothing"
    tab.wait_for_close()
    assert [leaf for text in tab.frames[before:] for leaf in re.findall(r' id="(\w+)"', text)][-1] == "live"
    assert not any('id="delivery"' in text for text in tab.frames[before:])


def test_a_session_that_ends_behind_the_app_loses_its_socket(site: Stack) -> None:
    """T-41, T-35: no event tells of a session deleted or expired, of an account switched off, deleted, or with a new
    password; the slow timer finds it. T-59, T-60: and a push that was lost.

    While an SMS is on its way the timer is at five seconds instead of eight; the code is the same.
    """
    users, strangers = [site.person() for _ in range(6)], [site.person()]
    names = [sign_in(site, person) for person in users]
    people = [*users, *strangers]
    mobiles = [number() for _ in people]
    site.hang(site.workers[0])
    try:
        for person, mobile in zip(people, mobiles, strict=True):
            assert person.ask(mobile).status_code == 202
        tabs = [arrived(person) for person in people]
        for tab, username in zip(tabs, [*names, ""], strict=True):
            assert tab.leaves["account"]["data-user"] == username
            assert tab.leaves["delivery"]["data-state"] == "queued"
        site.rows("DELETE FROM django_session WHERE session_key = ?", hashed(session_key(users[0])))
        expired = hashed(session_key(users[1]))
        site.rows("UPDATE django_session SET expire_date = '2020-01-01' WHERE session_key = ?", expired)
        site.rows("UPDATE accounts_user SET is_active = 0 WHERE username = ?", names[2])
        site.rows("UPDATE accounts_user SET password = 'changed' WHERE username = ?", names[3])
        site.rows("DELETE FROM accounts_user WHERE username = ?", names[4])
        gone, stay = [0, 1, 2, 3, 4], [5, 6]
        for n in stay:
            site.rows("UPDATE tasks_delivery SET state = 'unknown' WHERE mobile = ?", f"+86{mobiles[n]}")
        for n in gone:
            tabs[n].wait_for_close(10)
            assert 'id="live"' in tabs[n].frames[-1]
            assert refused(people[n]) == 403
        for n in stay:
            tabs[n].wait_for("delivery", state="unknown")
            assert tabs[n].closed is None, "the one who may stay was shown out too"
    finally:
        site.workers[0].signal(signal.SIGCONT)


def test_a_new_key_signs_nobody_out_and_loses_no_code(make_stack: Callable[..., Stack]) -> None:
    """T-43: with the former key as a fallback, whatever comes first: the socket, a reader's poll, or the code."""
    stack = make_stack(SMS_COOLDOWN="0", SMS_PER_HOUR="1")
    socket_first, poll_first, code_first = (stack.person() for _ in range(3))
    names = [sign_in(stack, person) for person in (socket_first, poll_first)]
    mobile = number()
    assert code_first.ask(mobile).status_code == 202
    code = stack.phone.code_for(mobile)
    # The handset has it a moment before the row says so.
    stack.wait_for_state("sent")
    former = stack.environment["SECRET_KEY"]
    restart(stack, SECRET_KEY="".join(reversed(former)), SECRET_KEY_FALLBACKS=former)

    assert arrived(socket_first).leaves["account"]["data-user"] == names[0]
    assert socket_first.username == names[0]
    assert poll_first.username == names[1]
    assert poll_first.username == names[1], "the poll itself signed them out"
    assert arrived(poll_first).leaves["account"]["data-user"] == names[1]
    assert arrived(code_first).leaves["delivery"]["data-state"] == "sent"
    assert code_first.enter(code).status_code == 200
    # T-7: the counters' names come from the key, and the limits are remembered all the same.
    assert stack.person().ask(mobile).json()["code"] == "SMS_LIMIT"

    # The fallback is taken away: whoever has loaded a page meanwhile has the new key, an older session is over.
    late = stack.person()
    for cookie in socket_first.http.cookies.jar:
        late.http.cookies.jar.set_cookie(cookie)
    assert arrived(late).leaves["account"]["data-user"] == names[0]
    assert late.get("/").status_code == 200
    restart(stack, SECRET_KEY=former, SECRET_KEY_FALLBACKS="")
    assert refused(late) == 403
    assert late.username == ""


def restart(stack: Stack, **environment: str) -> None:
    """Start the server anew with other settings."""
    stack.environment.update(environment)
    stack.webs[0].kill()
    stack.webs[0].start()
    stack.wait_for_web()


# --- The operator's self-test


def test_the_self_test_counts_before_the_operators_eyes(site: Stack) -> None:
    """Queue, worker, layer and socket in one look; a page that shows something else hears nothing of it."""
    operator, visitor = site.person(), site.person()
    other = arrived(visitor)
    page = arrived(operator, "/ws/dev/queue/")
    assert page.leaves["selftest"]["data-state"] == "idle"
    assert operator.htmx("/dev/queue/").status_code == 200
    steps: list[int] = []
    while len(steps) < 3:
        assert page.receive(5), "no progress came"
        shown = page.leaves["selftest"]
        if shown["data-state"] == "running" and int(shown["data-done"]) not in steps:
            steps.append(int(shown["data-done"]))
            assert shown["data-of"] == "10"
    assert steps in ([0, 1, 2], [1, 2, 3])
    assert set(page.leaves) >= LEAVES, "it is a page like the others"
    assert not any("selftest" in text for text in [*other.frames, *other.drain(0.1)])


# --- Who may come in


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site behind TLS and one proxy, as its visitors meet it. Nobody works: it only has to answer."""
    with Stack(
        tmp_path_factory.mktemp("production"),
        workers=0,
        DEBUG="0",
        PUBLIC_ORIGIN="https://login.example.org",
        ALLOWED_HOSTS="login.example.org,127.0.0.1",
        TRUSTED_PROXIES="1",
        SMS_GATEWAYS="yuntongxun",
        YUNTONGXUN_ACCOUNT_SID="nobody",
        YUNTONGXUN_AUTH_TOKEN="nothing",
        YUNTONGXUN_APP_ID="nowhere",
    ) as stack:
        yield stack


def knock(stack: Stack, *origins: str, path: str = "/ws/") -> int:
    """Ask for a socket as a visitor of the production site, from pages of these origins, and return the status."""
    visitor = stack.person(Host="login.example.org")
    visitor.http.headers["X-Forwarded-Proto"] = "https"
    cookie = re.search(r"__Host-sessionid=\w+", str(visitor.get().headers))
    assert cookie, "no session, or this test means nothing"
    with RawSocket(stack.ports[0]) as raw:
        headers = [("Cookie", cookie[0]), *(("Origin", origin) for origin in origins)]
        return raw.handshake(*headers, host="login.example.org", path=path)


def test_only_the_sites_own_pages_may_open_a_socket(production: Stack) -> None:
    """T-48: in production the origin is compared whole, scheme and port too; whatever is refused is no 5xx."""
    for right in ("https://login.example.org", "HTTPS://LOGIN.EXAMPLE.ORG"):
        assert knock(production, right) == 101, right
    for wrong in (
        "https://login.example.org:444",
        "http://login.example.org",
        "ftp://login.example.org",
        "chrome-extension://login.example.org",
        "https://evil.login.example.org",
        "https://example.org",
        "https://login.example.org.evil.com",
        "https://evil-login.example.org",
        "https://login.example.org@evil.com",
        "https://127.0.0.1",
        "login.example.org",
        "null",
        "*",
        "",
        "https://login.example.org:bad",
        "https://login.example.org:99999",
        "https://[",
    ):
        assert 400 <= knock(production, wrong) < 500, wrong
    assert 400 <= knock(production) < 500, "no origin at all"
    assert 400 <= knock(production, "https://login.example.org", "https://evil.com") < 500
    assert 400 <= knock(production, "https://evil.com", "https://login.example.org") < 500
    assert 400 <= knock(production, "https://login.example.org", "https://login.example.org") < 500
    assert "Traceback" not in production.webs[0].text()


def test_the_self_test_and_the_phone_stay_shut_in_production(production: Stack) -> None:
    """A stranger's page may not listen to every SMS or to the operator's test."""
    assert knock(production, "https://login.example.org") == 101, "or this test means nothing"
    for path in ("/ws/dev/phone/", "/ws/dev/queue/"):
        assert knock(production, "https://login.example.org", path=path) == 403


def test_a_socket_needs_a_living_session_and_a_known_path(site: Stack) -> None:
    nobody, person = site.person(), site.person()
    person.get()
    nobody.http.cookies.set("unrelated", "1")
    assert refused(nobody) == 403
    nobody.http.cookies.set("sessionid", "x" * 32)
    assert refused(nobody) == 403
    nobody.http.cookies.set("sessionid", "../../etc/passwd")
    assert refused(nobody) == 403
    for path in ("/ws", "/ws/other/", "/", "/ws/../admin/", "/ws/%00/", "/state/"):
        assert refused(person, path) == 403, path
    assert arrived(person).leaves["account"]["data-user"] == ""
    assert "Traceback" not in site.webs[0].text()


def test_no_header_moves_the_socket_to_another_path(site: Stack) -> None:
    """T-82: daphne takes one of them for the place where the site is, and a router would fail on it."""
    person = site.person()
    for value in ("/elsewhere", "/ws", "%", "\xe9"):
        page = person.open(**{"Daphne-Root-Path": value, "Script-Name": value})
        page.wait_for("connection", state="live")
        page.close()
    assert "Traceback" not in site.webs[0].text()


# --- What a client may say: nothing


def test_nothing_that_a_client_says_is_obeyed(site: Stack) -> None:
    """T-49, T-50: the socket takes no ids, no types and no handler names; the eleventh message is the last."""
    victim, mobile, eve = site.person(), number(), site.person()
    assert victim.ask(mobile).status_code == 202
    group = own_group(site, mobile)
    site.wait_for_state("sent")
    listening, logged = arrived(eve), len(site.webs[0].text())
    before = len(listening.frames)
    delivery_id = site.deliveries()[-1]["id"]
    sayings: list[str | bytes] = [
        json.dumps({"type": "delivery.changed"}),
        json.dumps({"type": "session_changed"}),
        json.dumps({"type": "websocket.close"}),
        json.dumps({"type": "websocket.disconnect", "code": 1000}),
        json.dumps({"type": "phone.changed", "group": "phone"}),
        json.dumps({"subscribe": group, "group": group, "id": delivery_id}),
        json.dumps({"type": "hidden"}),
        json.dumps({"HEADERS": {"HX-Request": "true"}, "mobile": mobile}),
        "{" * 2000,
        b"\x00\xff\x00",
    ]
    for saying in sayings:
        listening.socket.send(saying)
    assert push(site, group, "delivery.changed") == 0, "nobody listens to the victim"
    assert listening.drain(0.5) == []
    assert listening.closed is None
    assert len(listening.frames) == before
    listening.socket.send("one more")
    # 1008 (policy) as daphne can say it.
    assert listening.wait_for_close() == 4008
    assert "Traceback" not in site.webs[0].text()[logged:]


@pytest.mark.parametrize("saying", ["x" * 5000, b"x" * 5000, "完" * 4097], ids=["text", "bytes", "letters"])
def test_whoever_says_much_is_shown_out_at_once(site: Stack, saying: str | bytes) -> None:
    """T-51."""
    page = arrived(site.person())
    page.socket.send(saying)
    assert page.wait_for_close(3) == 4008


def test_malformed_frames_end_their_connection_and_nothing_else(site: Stack) -> None:
    """T-52: with a hundred random ones among them."""
    person = site.person()
    witness = arrived(person)
    headers = [("Origin", site.url), ("Cookie", f"sessionid={session_key(person)}")]
    logged = len(site.webs[0].text())
    dice = random.Random(52)
    sayings = {
        "an unmasked frame": frame(b"hello", masked=False),
        "a reserved opcode": frame(b"hello", opcode=3),
        "a reserved control opcode": frame(b"", opcode=11),
        "reserved bits": frame(b"hello", first=0xF1),
        "text that is no UTF-8": frame(b"\xff\xfe"),
        "a ping in fragments": frame(b"x", first=0x09),
        "a ping of 126 bytes": frame(b"x" * 126, opcode=9),
        "a close of one byte": frame(b"\x03", opcode=8),
        "a close with code 999": frame(b"\x03\xe7", opcode=8),
        "a continuation of nothing": frame(b"x", opcode=0),
        "a frame of 2**63 bytes": b"\x81\xff" + b"\xff" * 8 + b"mask",
    }
    for _ in range(100):
        sayings[f"random bytes, seed 52, number {len(sayings)}"] = dice.randbytes(dice.randrange(1, 200))
    for what, data in sayings.items():
        with RawSocket(site.ports[0]) as raw:
            assert raw.handshake(*headers) == 101, what
            raw.send(data)
            if "random" not in what:
                assert raw.is_ended(), what
    with RawSocket(site.ports[0]) as raw:
        raw.send(frame(b"before any handshake"))
        raw.send(b"\r\n\r\n")
        assert raw.is_ended()
    witness.drain(0.1)
    assert witness.closed is None
    assert site.get("/healthz").status_code == 200
    assert "Traceback" not in site.webs[0].text()[logged:]
    assert "ERROR" not in site.webs[0].text()[logged:]
    assert person.ask(number()).status_code == 202
    witness.wait_for("delivery", state="sent")


# --- What stands in the rows is text


@pytest.mark.parametrize(
    "forced",
    [
        "<img src=x onerror=alert(1)>",
        '"><script>alert(1)</script>',
        "' hx-on:click='alert(1)",
        '{"content":"<b>","target":"body"}',
        "</div><div id=live>",
        "59",
        "null",
        "\u202e\u200bnimda",
        "{{ settings.SECRET_KEY }}",
    ],
)
def test_a_name_that_is_markup_is_shown_as_text(site: Stack, forced: str) -> None:
    """T-62: no form lets one in, so it is forced into the database."""
    person = site.person()
    username = sign_in(site, person)
    site.rows("UPDATE accounts_user SET username = ? WHERE username = ?", forced, username)
    tab = arrived(person)
    assert tab.leaves["account"]["data-user"] == forced
    assert set(tab.leaves) <= {*LEAVES, "in-out", "life"}, "markup made an element"
    everything = "".join(tab.frames)
    assert "<img" not in everything
    assert "<script" not in everything
    assert "<b>" not in everything
    assert "' hx-on" not in everything


# --- When a part goes and comes back


def test_an_idle_page_stays_open(site: Stack, idle: tuple[Person, Page, float]) -> None:
    """T-58: with redis-py 8 one of the channel layers ends every socket that was idle for five seconds."""
    person, tab, since = idle
    wait_until(lambda: time.monotonic() - since > 12, 13)
    tab.drain(0.1)
    assert tab.closed is None
    assert person.ask(number()).status_code == 202
    tab.wait_for("delivery", state="sent")


def test_a_locked_database_holds_up_no_page(site: Stack) -> None:
    """T-61: somebody writes for a long time. What pages show is read beside it, and pings are answered meanwhile."""
    person, mobile = site.person(), number()
    assert person.ask(mobile).status_code == 202
    site.wait_for_state("sent")
    tabs = [arrived(person) for _ in range(8)]
    site.rows("UPDATE tasks_delivery SET state = 'delivered' WHERE mobile = ?", f"+86{mobile}")
    with contextlib.closing(sqlite3.connect(site.folder / "latchkey.sqlite3", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert push(site, own_group(site, mobile), "delivery.changed") == 1
        for tab in tabs:
            assert tab.socket.ping().wait(3), "a ping was not answered"
            tab.wait_for("delivery", 3, state="delivered")
        arrived(person)
        writer.execute("ROLLBACK")


def test_a_page_is_right_again_after_redis_was_restarted(site: Stack) -> None:
    """T-59: the pub/sub layer subscribes again by itself; what was pushed meanwhile is read from the row."""
    person = site.person()
    tab = arrived(person)
    site.kill_valkey()
    site.start_valkey()
    wait_until(lambda: site.get("/readyz").status_code == 200, 20, "the site is ready again")
    fresh = arrived(site.person())
    # The same socket, if it lives, or the one that the browser opens next.
    tab.drain(0.1)
    tab = tab if tab.closed is None else arrived(person)
    wait_until(lambda: person.ask(number()).status_code == 202, 10)
    tab.wait_for("delivery", state="sent")
    assert fresh.closed is None


def test_a_page_is_right_again_after_the_server_was_killed(site: Stack) -> None:
    """T-71: what happened while nobody served is in the replay."""
    person = site.person()
    tab = arrived(person)
    site.hang(site.workers[0])
    try:
        assert person.ask(number()).status_code == 202
        tab.wait_for("delivery", state="queued")
        site.webs[0].kill()
        assert tab.wait_for_close() == 1006
    finally:
        site.workers[0].signal(signal.SIGCONT)
    site.wait_for_state("sent")
    site.webs[0].start()
    site.wait_for_web()
    tab = arrived(person)
    assert tab.leaves["delivery"]["data-state"] == "sent"
