"""Signing in with a password and out again, the session that holds it, and where one goes afterwards."""

from __future__ import annotations

import html
import os
import re
import statistics
from http.cookies import SimpleCookie
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from django.contrib.auth.hashers import make_password
from websockets.exceptions import InvalidStatus

from accounts.sessions import hashed
from tests.support.numbers import number
from tests.support.person import leaves
from tests.support.places import ELSEWHERE, HERE
from tests.support.stack import REAL, Stack, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.person import Person

PASSWORD = "correct horse battery staple"
LONGEST = "x" * 127
TWO_DAYS = 2 * 86400


@pytest.fixture(scope="module")
def mobile() -> str:
    """Alice's number."""
    return number()


@pytest.fixture(scope="module")
def inactive_mobile() -> str:
    """The number of somebody who is locked out."""
    return number()


@pytest.fixture(scope="module")
def site(stack: Stack, mobile: str, inactive_mobile: str) -> Stack:
    """The site, with Alice, Bob without a password, and Mallory who is locked out."""
    settle(stack, mobile, inactive_mobile)
    return stack


def settle(stack: Stack, mobile: str, inactive_mobile: str) -> None:
    """Make the accounts."""
    stack.manage(
        "shell", "-v0", "-c",
        "from accounts.models import User\n"
        f"User.objects.create_user('Alice-1', password={PASSWORD!r}, mobile='+86{mobile}')\n"
        "User.objects.create_user('bob-nopass', password=None)\n"
        f"User.objects.create_user('mallory', password={PASSWORD!r}, mobile='+86{inactive_mobile}', is_active=False)\n"
        "User.objects.create_user('carol', password='first password')\n"
        f"User.objects.create_user('dave-long', password={LONGEST + 'a'!r})\n",
    )  # fmt: skip


@pytest.fixture
def person(site: Stack) -> Iterator[Person]:
    """A visitor."""
    made = site.person()
    yield made
    made.close()


@pytest.fixture(scope="module")
def alice(site: Stack) -> Person:
    """Alice, signed in, for tests that change nothing."""
    made = site.person()
    assert made.login("Alice-1", PASSWORD).status_code == 200
    return made


def cookies(answer: httpx.Response) -> dict[str, Any]:
    """Return the cookies that an answer sets, with their attributes."""
    jar: SimpleCookie = SimpleCookie()
    for line in answer.headers.get_list("set-cookie"):
        jar.load(line)
    return dict(jar)


def session_of(person: Person) -> str:
    """Return the browser's session cookie, empty when there is none."""
    return person.http.cookies.get("sessionid") or ""


# --- Who comes in ---


@pytest.mark.parametrize("name", ["Alice-1", "alice-1", "ALICE-1", " Alice-1 "])
def test_alice_signs_in_by_her_username_whatever_its_case(person: Person, name: str) -> None:
    answer = person.login(name, PASSWORD)
    assert (answer.status_code, answer.json()["code"], answer.json()["username"]) == (200, "OK", "Alice-1")
    assert person.username == "Alice-1"


@pytest.mark.parametrize("spelling", ["{}", "+86{}", "0086{}", "+86-{}"])
def test_alice_signs_in_by_her_number_however_she_writes_it(person: Person, mobile: str, spelling: str) -> None:
    assert person.login(spelling.format(mobile), PASSWORD).status_code == 200
    assert person.username == "Alice-1"


def test_a_browser_is_sent_on_after_the_login(person: Person) -> None:
    answer = person.page("/login/", username="Alice-1", password=PASSWORD)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    answer = person.htmx("/login/", username="Alice-1", password=PASSWORD)
    assert answer.headers["HX-Redirect"] == "/"


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({}, "PARAM_MISSING"),
        ({"username": "alice-1"}, "PARAM_MISSING"),
        ({"password": PASSWORD}, "PARAM_MISSING"),
        ({"username": "", "password": PASSWORD}, "PARAM_MISSING"),
        ({"username": "x", "password": ""}, "PARAM_MISSING"),
        ({"username": "abcd", "password": PASSWORD}, "USERNAME_FORMAT"),
        ({"username": "a" * 21, "password": PASSWORD}, "USERNAME_FORMAT"),
        ({"username": "a" * 5000, "password": PASSWORD}, "USERNAME_FORMAT"),
        ({"username": "al ice", "password": PASSWORD}, "USERNAME_FORMAT"),
        ({"username": "alice@example.org", "password": PASSWORD}, "USERNAME_FORMAT"),
        ({"username": "ａlice-1", "password": PASSWORD}, "USERNAME_FORMAT"),
        ({"username": "алиса", "password": PASSWORD}, "USERNAME_FORMAT"),
        ({"username": "x", "password": "short"}, "USERNAME_FORMAT"),
        ({"username": "alice-1", "password": "1234567"}, "CREDENTIALS"),
        ({"username": "alice-1", "password": "p" * 129}, "CREDENTIALS"),
        ({"username": "alice-1", "password": "p" * 60_000}, "PASSWORD_FORMAT"),
        ({"username": "alice-1", "password": "12345678"}, "CREDENTIALS"),
        ({"username": "alice-1", "password": "p" * 128}, "CREDENTIALS"),
        ({"username": "nobody-here", "password": PASSWORD}, "CREDENTIALS"),
        ({"username": "13800138000", "password": PASSWORD}, "CREDENTIALS"),
    ],
)
def test_each_mistake_has_its_word(person: Person, fields: dict[str, str], word: str) -> None:
    """First what is missing, then the username's format, then the password's, then the credentials."""
    answer = person.post("/login/", **fields)
    assert (answer.status_code, answer.json()["code"]) == (422, word)
    assert answer.json()["errmsg"]

    page = person.page("/login/", **fields)
    assert page.status_code == 422
    shown = leaves(page.text)["password-message"]
    assert shown["text"].startswith(answer.json()["errmsg"])
    reply = person.htmx("/login/", **fields)
    assert reply.status_code == 422
    assert leaves(reply.text)["password-message"]["text"] == answer.json()["errmsg"]
    assert person.username == ""


def test_a_refused_page_keeps_what_was_typed_but_the_password(person: Person) -> None:
    page = person.page("/login/", username="alice-1", password="wrong password <b>").text
    assert 'value="alice-1"' in page
    assert "wrong password" not in page
    page = person.page("/login/", username='"><script>alert(1)</script>', password="wrong password").text
    assert "<script>alert" not in page


def test_a_stranger_is_told_the_same_whoever_he_tries(site: Stack, mobile: str, inactive_mobile: str) -> None:
    """T-28: unknown, wrong, inactive and without a password, by name and by number: byte for byte one answer."""
    tries = {
        "unknown": ("nobody-here", PASSWORD),
        "wrong": ("Alice-1", "not her password"),
        "inactive": ("mallory", PASSWORD),
        "without a password": ("bob-nopass", PASSWORD),
        "unknown number": (number(), PASSWORD),
        "wrong, by number": (mobile, "not her password"),
        "inactive, by number": (inactive_mobile, PASSWORD),
    }
    answers = {}
    for who, (name, password) in tries.items():
        person = site.person()
        assert person.token
        said = person.login(name, password)
        headers = {key: value for key, value in said.headers.items() if key != "date"}
        # The page has an expiry header to the second.
        headers.pop("expires", None)
        nonce = headers.get("content-security-policy", "")
        headers["content-security-policy"] = nonce if "nonce" not in nonce else "with a nonce"
        answers[who] = (said.status_code, said.text, headers)
    assert len({repr(answer) for answer in answers.values()}) == 1, answers
    assert answers["unknown"][0] == 422


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has used so far, which other processes' load does not change."""
    used = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads processor time from /proc")
def test_every_refusal_costs_one_hash(tmp_path: Path, mobile: str, inactive_mobile: str) -> None:
    """T-29: who is refused without a hash is refused sooner. Counted in processor time, which is nearly all a hash."""
    with Stack(tmp_path / "site", workers=0, **REAL) as site:
        settle(site, mobile, inactive_mobile)
        costs = {who: statistics.median(each) for who, each in refusals(site, mobile).items()}
    without = costs.pop("no hash")
    one = statistics.median(costs.values())
    assert without < one / 3, "or the hash is not what is measured"
    for who, each in costs.items():
        assert one * 0.6 < each < one * 1.6, (who, costs)


def refusals(site: Stack, mobile: str) -> dict[str, list[float]]:
    """Return the processor time that each kind of refusal takes, three times."""
    person = site.person()
    assert person.token

    tries = {
        "unknown": ("nobody-here", PASSWORD),
        "wrong": ("Alice-1", "not her password"),
        "inactive, right": ("mallory", PASSWORD),
        "without a password": ("bob-nopass", PASSWORD),
        "unknown number": ("13800138000", PASSWORD),
        "wrong, by number": (mobile, "not her password"),
        "no hash": ("abcd", PASSWORD),
    }
    assert person.login("warm-up", PASSWORD).status_code == 422
    spent: dict[str, list[float]] = {who: [] for who in tries}
    # In turn, so that a machine that is busy for a while makes each of them dearer, and not one.
    for _ in range(3):
        for who, (name, password) in tries.items():
            before = processor_seconds(site.webs[0].pid)
            assert person.login(name, password).status_code == 422
            spent[who].append(processor_seconds(site.webs[0].pid) - before)
    return spent


def test_a_password_is_taken_exactly_as_typed(person: Person) -> None:
    """No cut-off (two that differ in their last letter are two), no strip, no change of case."""
    assert person.login("dave-long", LONGEST + "b").json()["code"] == "CREDENTIALS"
    assert person.login("Alice-1", PASSWORD.upper()).json()["code"] == "CREDENTIALS"
    assert person.login("Alice-1", f" {PASSWORD}").json()["code"] == "CREDENTIALS"
    assert person.login("Alice-1", f"{PASSWORD}\n").json()["code"] == "CREDENTIALS"
    assert person.login("dave-long", LONGEST + "a").status_code == 200


def test_a_hash_costs_a_hundred_mebibytes() -> None:
    """What a guesser pays for each guess at a table that was stolen."""
    assert make_password(PASSWORD).startswith("argon2$argon2id$v=19$m=102400,t=2,p=1$")


def test_passwords_are_kept_as_argon2(site: Stack) -> None:
    for row in site.rows("SELECT username, password FROM accounts_user WHERE username <> 'bob-nopass'"):
        assert row["password"].startswith(("argon2$argon2id$", "!")), row["username"]


# --- The session ---


def test_a_login_ends_with_the_browser(person: Person) -> None:
    answer = person.login("Alice-1", PASSWORD)
    assert answer.status_code == 200
    for name in ("sessionid", "username"):
        assert cookies(answer)[name]["max-age"] == ""
        assert cookies(answer)[name]["expires"] == ""
    assert cookies(answer)["username"].value == "Alice-1"


@pytest.mark.parametrize("said", ["on", "true", "1"])
def test_a_remembered_login_lives_two_days(site: Stack, person: Person, said: str) -> None:
    answer = person.login("Alice-1", PASSWORD, remembered=said)
    for name in ("sessionid", "username"):
        assert cookies(answer)[name]["max-age"] == str(TWO_DAYS)
    left = site.rows(
        "SELECT julianday(expire_date) - julianday('now') AS days FROM django_session WHERE session_key = ?",
        hashed(session_of(person)),
    )
    assert 1.99 < left[0]["days"] <= 2.001


@pytest.mark.parametrize("said", ["", "off", "false", "False"])
def test_what_is_not_ticked_is_not_remembered(person: Person, said: str) -> None:
    """A browser leaves an empty box out; programs say so in other ways."""
    answer = person.login("Alice-1", PASSWORD, remembered=said)
    assert cookies(answer)["sessionid"]["max-age"] == ("" if said != "off" else str(TWO_DAYS))


def test_a_code_is_remembered_as_well(site: Stack) -> None:
    person, mobile = site.person(), number()
    person.ask(mobile)
    answer = person.enter(site.phone.code_for(mobile), remembered="on")
    assert cookies(answer)["sessionid"]["max-age"] == str(TWO_DAYS)


def test_the_session_cookie_is_for_http_alone(person: Person) -> None:
    """T-44, on plain http: the rest needs TLS."""
    answer = person.login("Alice-1", PASSWORD)
    session, name = cookies(answer)["sessionid"], cookies(answer)["username"]
    assert session["httponly"] is True
    assert (session["samesite"], session["path"], session["domain"]) == ("Lax", "/", "")
    assert (name["samesite"], name["path"], name["domain"]) == ("Lax", "/", "")


def test_the_username_cookie_is_believed_by_nobody(person: Person) -> None:
    person.get()
    person.http.cookies.set("username", "Alice-1")
    assert person.username == ""
    assert leaves(person.get("/").text)["account"]["data-user"] == ""


def test_a_chosen_session_is_not_taken_over(site: Stack) -> None:
    """T-37: neither one that the attacker made up nor one that he was given."""
    attacker = site.person()
    attacker.get()
    planted = session_of(attacker)
    assert planted
    for key in ("a" * 32, planted):
        victim = site.person()
        victim.http.cookies.set("sessionid", key)
        assert victim.login("Alice-1", PASSWORD).status_code == 200
        assert victim.username == "Alice-1"
        fresh = [cookie.value for cookie in victim.http.cookies.jar if cookie.name == "sessionid"][-1]
        assert fresh not in {key, planted}
        attacker.http.cookies.clear()
        attacker.http.cookies.set("sessionid", key)
        assert attacker.username == ""
        with pytest.raises(InvalidStatus):
            attacker.open()


def test_the_page_of_a_browser_stays_its_own_over_a_login(site: Stack) -> None:
    """The browser's id survives login(): its tabs listen on. After logout a fresh one begins, which shows nothing."""
    person, mobile = site.person(), number()
    person.ask(mobile)
    wait_until(lambda: person.state["state"] == "sent")
    anonymous = session_of(person)
    person.login("Alice-1", PASSWORD)
    signed_in = session_of(person)
    assert signed_in != anonymous
    assert person.state["state"] == "sent", "the delivery is still this browser's"
    person.logout()
    assert session_of(person) not in {"", anonymous, signed_in}
    assert person.state["state"] is None, "what was asked for before is not shown after"


def test_logout_ends_the_session_for_good(site: Stack, person: Person) -> None:
    person.login("Alice-1", PASSWORD, remembered="on")
    key = session_of(person)
    assert site.rows("SELECT 1 FROM django_session WHERE session_key = ?", hashed(key)), "or this test means nothing"
    answer = person.logout()
    assert (answer.status_code, answer.json()["code"]) == (200, "OK")
    assert cookies(answer)["username"]["max-age"] == "0"
    assert person.username == ""
    assert "username" not in person.http.cookies
    assert site.rows("SELECT 1 FROM django_session WHERE session_key = ?", hashed(key)) == []
    thief = site.person()
    thief.http.cookies.set("sessionid", key)
    assert thief.username == ""


def test_logout_sends_a_browser_home(person: Person) -> None:
    person.login("Alice-1", PASSWORD)
    answer = person.page("/logout/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    assert person.page("/logout/").status_code == 302, "a second click does no harm"
    assert person.htmx("/logout/").headers["HX-Redirect"] == "/"


def test_a_changed_password_ends_every_other_session(site: Stack) -> None:
    """T-35: whoever was in with the old one is out at the next request."""
    here, there = site.person(), site.person()
    for person in (here, there):
        assert person.login("carol", "first password").status_code == 200
        assert person.username == "carol"
    site.manage("shell", "-v0", "-c", "from accounts.models import User; u = User.objects.get(username='carol'); "
                "u.set_password('second password'); u.save()")  # fmt: skip
    assert here.username == ""
    assert leaves(there.get("/").text)["account"]["data-user"] == ""
    assert there.login("carol", "first password").json()["code"] == "CREDENTIALS"
    assert there.login("carol", "second password").status_code == 200


def test_a_deactivated_account_is_out_at_once(site: Stack) -> None:
    site.user("leaving-soon", password=PASSWORD)
    person = site.person()
    person.login("leaving-soon", PASSWORD)
    assert person.username == "leaving-soon"
    site.rows("UPDATE accounts_user SET is_active = 0 WHERE username = 'leaving-soon'")
    assert person.username == ""


def test_the_next_user_of_a_browser_does_not_inherit_the_session(site: Stack) -> None:
    """A login over a login: the first session ends."""
    person, watcher = site.person(), site.person()
    person.login("Alice-1", PASSWORD)
    first = session_of(person)
    assert person.login("dave-long", LONGEST + "a").status_code == 200
    assert person.username == "dave-long"
    watcher.http.cookies.set("sessionid", first)
    assert watcher.username == ""


def test_a_rotated_secret_key_signs_nobody_out(tmp_path: Path) -> None:
    """T-43: with the old key as a fallback the first request, of whatever kind, finds the visitor still signed in."""
    with Stack(tmp_path / "rotated", workers=0) as stack:
        stack.user("stays-in", password=PASSWORD)
        people = [stack.person() for _ in range(4)]
        for person in people:
            assert person.login("stays-in", PASSWORD, remembered="on").status_code == 200
        old = stack.settings["SECRET_KEY"]
        web = stack.webs[0]
        web.kill()
        web.environment |= {"SECRET_KEY": old[::-1] + "-new", "SECRET_KEY_FALLBACKS": old}
        web.start()
        stack.wait_for_web()
        polling, reading, listening, away = people
        assert polling.username == "stays-in"
        assert polling.username == "stays-in", "the poll has ended the session that it read"
        assert leaves(polling.get("/").text)["account"]["data-user"] == "stays-in"
        assert leaves(reading.get("/").text)["account"]["data-user"] == "stays-in"
        assert reading.username == "stays-in"
        assert listening.open().wait_for("account", user="stays-in")
        assert listening.username == "stays-in"

        web.kill()
        web.environment["SECRET_KEY_FALLBACKS"] = ""
        web.start()
        stack.wait_for_web()
        assert away.username == "", "a key that is taken out lets nobody in"
        assert polling.username == "stays-in", "who came meanwhile has the new one"


# --- Cross-site, and what only reads ---

POSTS = {
    "/login/": {"username": "Alice-1", "password": PASSWORD},
    "/code/": {"mobile": "13800138000"},
    "/code/withdraw/": {},
    "/login/code/": {"code": "123456"},
    "/logout/": {},
}


@pytest.mark.parametrize("path", POSTS)
def test_a_page_elsewhere_cannot_post_here(site: Stack, path: str) -> None:
    """T-45, login and logout among them: no token, another's token, or another origin changes nothing."""
    other = site.person()
    before = len(site.deliveries())

    def state(person: Person) -> tuple[str, str, int]:
        return person.username, session_of(person), len(site.deliveries())

    for headers in (
        {},
        {"X-CSRFToken": "x" * 64},
        {"X-CSRFToken": other.token},
        {"Origin": "https://evil.example", "X-CSRFToken": "own"},
        {"Origin": "null", "X-CSRFToken": "own"},
        {"Origin": f"{site.url}1", "X-CSRFToken": "own"},
        {"Origin": site.url.replace("http:", "https:"), "X-CSRFToken": "own"},
    ):
        person = site.person()
        if path == "/logout/":
            person.login("Alice-1", PASSWORD)
        sent = {**headers, "X-CSRFToken": person.token} if headers.get("X-CSRFToken") == "own" else headers
        was = state(person)
        answer = person.http.post(path, data=POSTS[path], headers={"Accept": "application/json", **sent})
        assert answer.status_code == 403, headers
        assert answer.json()["errmsg"]
        assert "location" not in answer.headers
        assert state(person) == was
        person.close()
    assert len(site.deliveries()) == before
    right = site.person()
    answer = right.http.post(path, data=POSTS[path], headers={"X-CSRFToken": right.token, "Origin": site.url})
    assert answer.status_code != 403, "or this test means nothing"


def test_a_token_that_a_login_has_replaced_is_answered_in_kind(person: Person) -> None:
    """T-46: the form of another tab holds the old token. The page says so, and a script is given a new one."""
    old = person.token
    person.login("Alice-1", PASSWORD)
    assert person.http.cookies["csrftoken"] != old
    page = person.http.post("/logout/", data={"csrfmiddlewaretoken": old}, headers={"Accept": "text/html"})
    assert page.status_code == 403
    assert "<h1>" in page.text
    reply = person.http.post("/logout/", headers={"X-CSRFToken": old, "HX-Request": "true"})
    assert (reply.status_code, reply.headers["X-Token"]) == (403, "fresh")
    assert person.username == "Alice-1"
    assert person.logout().status_code == 200, "with the token of now it works"


@pytest.mark.parametrize("path", ["/code/", "/code/withdraw/", "/login/code/", "/logout/"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_what_is_for_posting_is_not_read(site: Stack, alice: Person, path: str, method: str) -> None:
    """T-45: a link, an image or a prefetch changes nothing."""
    before = len(site.deliveries())
    fields = {"mobile": "13800138000", "code": "123456"}
    answer = alice.http.request(method, path, params=fields, headers={"X-CSRFToken": alice.token})
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"
    assert "username" not in cookies(answer)
    assert alice.username == "Alice-1"
    assert len(site.deliveries()) == before


def test_a_link_does_not_sign_anybody_in(person: Person) -> None:
    answer = person.http.get("/login/", params={"username": "Alice-1", "password": PASSWORD})
    assert answer.status_code == 200
    assert "username" not in cookies(answer)
    assert PASSWORD not in answer.text
    assert person.username == ""
    assert person.http.put("/login/", headers={"X-CSRFToken": person.token}).status_code == 405


@pytest.mark.parametrize("path", ["/", "/state/", "/healthz", "/readyz"])
def test_what_is_for_reading_is_not_posted(person: Person, path: str) -> None:
    assert person.http.post(path, headers={"X-CSRFToken": person.token}).status_code == 405


# --- Where to go ---


def places(person: Person, wanted: str) -> list[str]:
    """Return every place that a login with this `next` names: redirect, HX-Redirect, JSON, and the form's fields."""
    fields = {"username": "Alice-1", "password": PASSWORD, "next": wanted}
    form = person.get("/login/?" + str(httpx.QueryParams({"next": wanted})))
    assert form.status_code == 200
    # The switch of languages leads back to this very page, and so does signing out to use another account.
    filled_in = [html.unescape(value) for value in re.findall(r'name="next" value="([^"]*)"', form.text)]
    assert len(filled_in) == 7
    own = [value for value in filled_in if not value.startswith("/login/?next=")]
    assert len(own) == 5
    answers = person.page("/login/", **fields), person.htmx("/login/", **fields), person.post("/login/", **fields)
    assert not any("a" in cookies(answer) for answer in answers)
    return [answers[0].headers["Location"], answers[1].headers["HX-Redirect"], answers[2].json()["next"], *own]


@pytest.mark.parametrize("wanted", HERE)
def test_a_login_leads_to_a_page_of_this_site(person: Person, wanted: str) -> None:
    assert set(places(person, wanted)) == {wanted}


@pytest.mark.parametrize("wanted", ELSEWHERE)
def test_a_login_does_not_lead_to_another_site(person: Person, wanted: str) -> None:
    """T-47: whoever is sent a link with `next` in it ends up at home."""
    assert set(places(person, wanted)) == {"/", ""}


def test_somebody_who_is_signed_in_goes_on_once_and_is_then_asked(site: Stack) -> None:
    """A page that this account may not see leads back here at once: not round and round."""
    person = site.person()
    assert person.page("/login/", username="Alice-1", password=PASSWORD).status_code == 302
    there = "/login/?next=/there/"
    html_ = {"Accept": "text/html"}
    first = person.http.get(there, headers=html_)
    assert (first.status_code, first.headers["Location"]) == (302, "/there/")
    second = person.http.get(there, headers=html_)
    assert second.status_code == 200
    assert 'href="/there/"' in second.text
    # Another page is another wish, and without one there is nothing to go on to.
    assert person.http.get("/login/?next=/elsewhere/", headers=html_).status_code == 302
    assert person.http.get("/login/", headers=html_).status_code == 200
    assert person.http.get("/login/?next=//evil.example", headers=html_).status_code == 200
    assert person.http.get("/login/?again=1&next=/there/", headers=html_).status_code == 200


@pytest.mark.parametrize(
    ("wanted", "leads"), [("/login/?next=/a", "/login/?next=/a"), ("//evil.example", "/"), ("", "/")]
)
def test_signing_out_leads_to_a_page_of_this_site(site: Stack, wanted: str, leads: str) -> None:
    person = site.person()
    person.page("/login/", username="Alice-1", password=PASSWORD)
    assert person.page("/logout/", next=wanted).headers["Location"] == leads


def test_a_login_by_code_stays_here_as_well(site: Stack) -> None:
    """T-47: the second way in."""
    person, mobile = site.person(), number()
    person.ask(mobile)
    answer = person.page("/login/code/", code=site.phone.code_for(mobile), next="//evil.example")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")


@pytest.mark.parametrize("wanted", ["//evil.example", "https://evil.example", "/\\evil.example"])
def test_the_language_switch_stays_here_as_well(person: Person, wanted: str) -> None:
    """T-47: Django's own view; the form stands on every page."""
    answer = person.page("/i18n/setlang/", language="zh-hans", next=wanted)
    assert answer.status_code in {204, 302}
    assert "evil" not in answer.headers.get("Location", "")
