"""Changing a password: who may, to what, and who is out afterwards."""

from __future__ import annotations

import re
import subprocess
import unicodedata
from functools import partial
from typing import TYPE_CHECKING, Literal

import pytest
from django.contrib.auth.password_validation import CommonPasswordValidator, validate_password
from django.core.exceptions import ValidationError

from accounts.models import User
from accounts.passwords.validators import Common
from tests.support.numbers import number
from tests.support.person import leaves
from tests.support.stack import BIN, REAL, ROOT, Stack
from tests.support.together import together

Form = Literal["NFC", "NFD"]

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.person import Page, Person

OLD = "correct horse battery"
NEW = "eleven quiet umbrellas"
# Shorter than the time after which a socket looks by itself: what closes it sooner was a push.
TOLD = 5.0
# Wrong passwords in a row before the first pause.
TRIES = 6


# Who has an account, each for one test; all made in one go, because a shell takes seconds to start.
MEMBERS = (
    *("alice", "bystander", "comes-back", "mistaken", "lured-here", "stays-long"),
    *("given-new", "locked-out", "deleted-1", "exactly-so", "long-winded", "by-command", "guessed-at"),
)
MOBILE = number()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site without cooldown, with its members and an operator."""
    with Stack(tmp_path_factory.mktemp("site"), SMS_COOLDOWN="0", PASSWORD_TRIES=str(TRIES)) as stack:
        stack.manage(
            "shell", "-v0", "-c",
            "from accounts.models import User\n"
            f"for name in {MEMBERS!r}: User.objects.create_user(name, password={OLD!r})\n"
            f"User.objects.filter(username='mistaken').update(mobile='+86{MOBILE}')\n"
            f"User.objects.create_user('operator', password={OLD!r}, is_staff=True, is_superuser=True)\n",
        )  # fmt: skip
        yield stack


@pytest.fixture(scope="module")
def operator(site: Stack) -> Person:
    """The operator, who may enter the admin."""
    person = signed_in(site, "operator")
    assert person.get("/admin/").status_code == 200
    return person


def signed_in(site: Stack, username: str) -> Person:
    """Return a browser of somebody's, signed in with OLD."""
    person = site.person()
    assert person.login(username, OLD).status_code == 200
    return person


def change(person: Person, *, current: str = OLD, new: str = NEW) -> str:
    """Change the password and return the answer's word."""
    answer = person.post("/password/", current=current, new=new)
    assert answer.json()["errmsg"] or answer.json()["code"] == "OK"
    word: str = answer.json()["code"]
    return word


def page_of(person: Person, username: str) -> Page:
    """Open a tab that shows who is signed in."""
    page = person.open()
    page.wait_for("account", user=username)
    page.wait_for("connection", state="live")
    return page


def comes_in(site: Stack, username: str, password: str) -> bool:
    """Tell whether a login works."""
    return site.person().login(username, password).status_code == 200


# --- Who may ---


def test_a_stranger_is_sent_to_the_login_and_back_from_it(site: Stack) -> None:
    stranger = site.person()
    assert stranger.get("/password/").headers["Location"] == "/login/?next=/password/"
    assert stranger.page("/password/", new=NEW).headers["Location"] == "/login/?next=/password/"
    assert stranger.htmx("/password/", new=NEW).headers["HX-Redirect"] == "/login/?next=/password/"
    answer = stranger.post("/password/", new=NEW)
    assert (answer.status_code, answer.json()["code"]) == (403, "REAUTHENTICATE")
    assert stranger.page("/login/", username="comes-back", password=OLD, next="/password/").headers["Location"] == (
        "/password/"
    )
    shown = stranger.get("/password/")
    assert 'autocomplete="current-password"' in shown.text
    assert 'autocomplete="new-password"' in shown.text
    assert "no-store" in shown.headers["Cache-Control"]
    assert 'href="/password/"' in stranger.get("/").text


def test_a_password_manager_finds_the_page(site: Stack) -> None:
    answer = site.person().get("/.well-known/change-password")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/password/")


def test_each_mistake_has_its_word(site: Stack) -> None:
    """ASVS 5.0, 6.2.1 and 6.2.3. And neither password is ever sent back."""
    person = signed_in(site, "mistaken")
    for fields, word, field in (
        ({"current": OLD}, "PARAM_MISSING", "new"),
        ({"new": NEW}, "PARAM_MISSING", "current"),
        ({"current": "x" * 4097, "new": NEW}, "PASSWORD_FORMAT", "current"),
        ({"current": OLD, "new": "fourteen chars"}, "PASSWORD_FORMAT", "new"),
        ({"current": OLD, "new": "x" * 129}, "PASSWORD_FORMAT", "new"),
        ({"current": OLD, "new": NEW + "\x00"}, "PASSWORD_FORMAT", "new"),
        # A thief of the session learns nothing about the number from what is too like it.
        ({"current": "not her password", "new": f"{MOBILE} {MOBILE}"}, "CREDENTIALS", "current"),
        ({"current": OLD, "new": f"{MOBILE} {MOBILE}"}, "PASSWORD_WEAK", "new"),
    ):
        answer = person.post("/password/", **fields)
        assert (answer.status_code, answer.json()["code"]) == (422, word), fields
        reply, page = person.htmx("/password/", **fields), person.page("/password/", **fields)
        for told in (reply, page):
            message = leaves(told.text)["change-message"]
            assert (told.status_code, message["data-field"]) == (422, field), fields
            assert message["text"]
            assert not [typed for typed in fields.values() if typed in told.text]
    assert comes_in(site, "mistaken", OLD)


def test_a_page_elsewhere_cannot_change_it(site: Stack) -> None:
    """T-45."""
    person = signed_in(site, "lured-here")
    fields = {"current": OLD, "new": NEW}
    assert person.http.post("/password/", data=fields).status_code == 403
    evil = {"X-CSRFToken": person.token, "Origin": "https://evil.example"}
    assert person.http.post("/password/", data=fields, headers=evil).status_code == 403
    assert person.http.get("/password/", params=fields).status_code == 200
    assert person.http.put("/password/", data=fields, headers={"X-CSRFToken": person.token}).status_code == 405
    assert comes_in(site, "lured-here", OLD)


# --- Who is out afterwards ---


def test_a_new_password_ends_every_other_session_and_its_sockets(site: Stack) -> None:
    """T-35, and ASVS 5.0, 7.4.3: the second browser's next request is anonymous, and its socket is told at once."""
    alice = signed_in(site, "alice")
    elsewhere, bystander = signed_in(site, "alice"), signed_in(site, "bystander")
    own, other, foreign = page_of(alice, "alice"), page_of(elsewhere, "alice"), page_of(bystander, "bystander")
    key = alice.http.cookies["sessionid"]

    assert change(alice) == "OK"
    shown = len(other.frames)
    other.wait_for_close(TOLD)
    # What it still heard is to come back, and it comes back to nothing.
    assert not any("alice" in frame for frame in other.frames[shown:])
    assert elsewhere.username == ""
    assert elsewhere.get("/password/").status_code == 302

    # This browser goes on with a new key; its old one is worth nothing (ASVS 5.0, 7.2.4).
    own.wait_for_close(TOLD)
    assert alice.username == "alice"
    page_of(alice, "alice")
    assert alice.http.cookies["sessionid"] != key
    thief = site.person()
    thief.http.cookies.set("sessionid", key)
    assert thief.username == ""

    # The page says so, once.
    assert "Your new password is set" in alice.get("/password/").text
    assert "Your new password is set" not in alice.get("/password/").text
    # Nobody else was disturbed.
    assert foreign.news(0.5) == []
    assert foreign.closed is None
    assert bystander.username == "bystander"

    assert not comes_in(site, "alice", OLD)
    assert comes_in(site, "alice", NEW)
    said = site.logs()
    assert "has a new password" in said
    assert OLD not in said
    assert NEW not in said


def test_a_remembered_login_stays_remembered(site: Stack) -> None:
    person = site.person()
    person.login("stays-long", OLD, remembered="on")
    (answer,) = [person.post("/password/", current=OLD, new=NEW)]
    assert "Max-Age=172800" in answer.headers["Set-Cookie"]


def test_of_two_changes_at_once_one_is_made(tmp_path: Path) -> None:
    """Owner and thief both know the old password: one of the two is out, and knows it."""
    with Stack(tmp_path / "slow", workers=0, **REAL) as slow:
        slow.user("in-a-race", password=OLD)
        race(slow)


def race(site: Stack) -> None:
    """Let three who are signed in change the one password at once."""
    people = [signed_in(site, "in-a-race") for _ in range(3)]
    mine = [f"{NEW} number {n}" for n in range(3)]
    words = together([partial(change, person, new=new) for person, new in zip(people, mine, strict=True)])
    assert words.count("OK") == 1, words
    winner = words.index("OK")
    assert [person.username for person in people] == ["in-a-race" if n == winner else "" for n in range(3)]
    assert [comes_in(site, "in-a-race", new) for new in mine] == [n == winner for n in range(3)]


def test_what_the_operator_changes_reaches_the_open_pages_at_once(site: Stack, operator: Person) -> None:
    """T-35 and T-41: a new password, a locked and a deleted account; and a login elsewhere disturbs nobody."""
    for username, path, fields in (
        ("given-new", "password", {"password1": NEW, "password2": NEW, "usable_password": "true"}),
        ("locked-out", "change", {"username": "locked-out", "date_joined_0": "2026-01-01", "date_joined_1": "00:00"}),
        ("deleted-1", "delete", {"post": "yes"}),
    ):
        person = signed_in(site, username)
        page = page_of(person, username)
        signed_in(site, username)
        assert page.drain(0.3) == [], "a login elsewhere"
        (row,) = site.rows("SELECT id FROM accounts_user WHERE username = ?", username)
        answer = operator.page(f"/admin/accounts/user/{row['id']}/{path}/", **fields)
        assert answer.headers["Location"].startswith("/admin/accounts/user/"), answer.text
        page.wait_for_close(TOLD)
        assert person.username == "", path


# --- To what ---


def test_a_password_is_taken_exactly_as_typed(site: Stack) -> None:
    """ASVS 5.0, 6.2.5 and 6.2.8, and T-34: nothing is trimmed, cut or folded."""
    person = signed_in(site, "exactly-so")
    hundred = "any hundred letters " * 5
    current = OLD
    for new, others in (
        ("  two Spaces around  ", ("two Spaces around", "  two spaces around  ")),
        ("🦊🦉🐢🦋🐝🐙🦀🐌🦔🦦🦥🦜🐊🦒🐘", ()),
        (hundred[:99] + "a", (hundred[:99] + "b",)),
        (hundred + "z" * 28, (hundred + "z" * 27,)),
    ):
        assert change(person, current=current, new=new) == "OK", new
        for other in others:
            assert not comes_in(site, "exactly-so", other), other
        assert comes_in(site, "exactly-so", new), new
        current = new


@pytest.mark.parametrize(("kept", "typed"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_one_password_is_one_however_the_keyboard_spells_its_letters(site: Stack, kept: Form, typed: Form) -> None:
    """NIST SP 800-63B-4, 3.1.1.2."""
    words = "trois élans rêvent loin"
    assert unicodedata.normalize("NFC", words) != unicodedata.normalize("NFD", words), "or this test means nothing"
    name = f"spelt-{kept}-{typed}"
    site.user(name, password=OLD)
    person = signed_in(site, name)
    assert change(person, current=OLD, new=unicodedata.normalize(kept, words)) == "OK"
    assert comes_in(site, name, unicodedata.normalize(typed, words))
    assert not comes_in(site, name, "trois elans revent loin")


@pytest.mark.parametrize("password", ["sixers", "1234567", "a long one " * 14, "e\u0301tudes"])
def test_a_password_that_exists_is_checked_however_short_or_long(site: Stack, password: str) -> None:
    """Imported, or from before a rule, and hashed as it was; its owner can change it as well."""
    name = f"older-{len(password.encode())}"
    hashed = "from django.contrib.auth.hashers import make_password as make; from accounts.models import User; "
    hashed += f"User.objects.create(username={name!r}, password=make({password!r}))"
    site.manage("shell", "-v0", "-c", hashed)
    assert comes_in(site, name, password)
    person = site.person()
    person.login(name, password)
    assert change(person, current=password, new=NEW) == "OK"


@pytest.mark.parametrize("password", ["seven-7", "no end of words " * 9])
def test_every_way_to_a_new_password_knows_its_length(site: Stack, password: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        site.manage("createsuperuser", "--noinput", "--username", "too-easy", "--email", "",
                    DJANGO_SUPERUSER_PASSWORD=password)  # fmt: skip
    assert "DJANGO_SUPERUSER_PASSWORD" in refused.value.stderr
    assert password not in refused.value.stderr
    check = f"from django.contrib.auth.password_validation import validate_password as v; v({password!r})"
    with pytest.raises(subprocess.CalledProcessError):
        site.manage("shell", "-v0", "-c", check)


def test_too_long_a_password_is_refused_before_anything_is_done_with_it(site: Stack) -> None:
    """T-34."""
    person = signed_in(site, "long-winded")
    for fields in ({"current": OLD, "new": "x" * 60_000}, {"current": "x" * 60_000, "new": NEW}):
        answer = person.post("/password/", **fields)
        assert (answer.status_code, answer.json()["code"]) == (422, "PASSWORD_FORMAT")
    answer = person.http.post(
        "/password/", data={"current": OLD, "new": "x" * 5_000_000}, headers={"X-CSRFToken": person.token}
    )
    assert answer.status_code in {400, 413}
    assert comes_in(site, "long-winded", OLD)


def refused(password: str, user: User | None = None) -> bool:
    """Tell whether the settings' validators refuse a password."""
    try:
        validate_password(password, user)
    except ValidationError:
        return True
    return False


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "passwordpassword",
        "Password12345678",
        "IloveyouIloveyou!",
        "aaaaaaaaaaaaaaaa",
        "abcabcabcabcabcabc",
        "123456789012345",
        "987654321098765",
        "qwertyuiopasdfgh",
        "abcdefghijklmnopq",
        "!!!chocolate!!!2024",
        "sunshineprincess",
        "sunshine_princess_1",
        "1q2w3e4r5t6y7u8i9o0p",
        "latchkey-2024!!",
        "latchkey latchkey",
        "anna-lena-77anna",
        "13812345678 anna",
        "+8613812345678!!",
        "Lindqvist-Lindqvist",
    ],
)
def test_what_everybody_tries_first_is_refused(password: str) -> None:
    """ASVS 5.0, 6.2.4 and 6.2.11: common passwords, also made longer, and what the site and its user are called."""
    assert refused(password, User(username="anna-lena-77", mobile="+8613812345678", last_name="Lindqvist"))


@pytest.mark.parametrize(
    "password",
    [
        OLD,
        NEW,
        "correct horse battery staple",
        "my latchkey hangs on a blue hook",
        "anna-lena-77 likes cold soup a lot",
        "kT9#vLq2$Wm7!xZ",
        "493028457710293",
        "夜里下雨的时候屋顶上有三只猫在唱歌",
        "no digits and no signs",
    ],
)
def test_nothing_is_asked_of_a_password_but_that_it_is_long_and_not_known(password: str) -> None:
    """ASVS 5.0, 6.2.5: no rules of composition."""
    assert not refused(password, User(username="anna-lena-77", mobile="+8613812345678"))
    assert not refused(password)


def test_three_thousand_common_passwords_that_are_long_enough_are_refused() -> None:
    """ASVS 5.0, 6.2.4. The lists that exist are of short ones, so the most common of them are made long enough."""
    common = sorted(Common().passwords)
    assert len(common) > 19_000
    assert CommonPasswordValidator().passwords == set(common)
    tried = [word * (15 // len(word) + 1) for word in common[:: len(common) // 3000]]
    assert len(tried) >= 3000
    assert [word for word in tried if len(word) < 15 or not refused(word)] == []


def test_the_commands_obey_the_same_rules(site: Stack) -> None:
    """D2, for who has a shell."""
    # In a session of its own there is no terminal, so the command reads what it is given. It asks three times.
    typed = "".join(f"{password}\n{password}\n" for password in ("fourteen chars", "passwordpassword", NEW))
    done = subprocess.run(
        [str(BIN / "python"), "manage.py", "changepassword", "by-command"], cwd=ROOT, env=site.environment,
        input=typed, text=True, capture_output=True, timeout=60, start_new_session=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "too short" in done.stderr
    assert "too easy to guess" in done.stderr
    assert comes_in(site, "by-command", NEW)


def test_the_admin_obeys_the_same_rules_and_knows_one_spelling_of_a_name(site: Stack, operator: Person) -> None:
    """D2, and T-33: of `Alice-33` and what looks like it, one is allowed."""
    for username, password, made in (
        ("Alice-33", "fourteen chars", False),
        ("Alice-33", "passwordpassword", False),
        ("Alice-33", "Alice-33 Alice-33", False),
        ("Alice-33", NEW, True),
        ("alice-33", NEW, False),
        ("ALICE-33", NEW, False),
        ("ａlice-33", NEW, False),
        ("alice-33\u200b", NEW, False),
        ("аlice-33", NEW, False),
        ("alice-33 ", NEW, False),
    ):
        answer = operator.page(
            "/admin/accounts/user/add/",
            username=username, mobile="", usable_password="true", password1=password, password2=password,
        )  # fmt: skip
        assert answer.headers.get("Location", "").startswith("/admin/accounts/user/") is made, (username, password)
        assert made or "errorlist" in answer.text
    assert len(site.rows("SELECT 1 FROM accounts_user WHERE username LIKE '%lice-33%'")) == 1
    (row,) = site.rows("SELECT id FROM accounts_user WHERE username = 'Alice-33'")
    weak = {"password1": "passwordpassword", "password2": "passwordpassword", "usable_password": "true"}
    answer = operator.page(f"/admin/accounts/user/{row['id']}/password/", **weak)
    assert (answer.status_code, "errorlist" in answer.text) == (200, True)
    # Staff change their own on the site's page.
    assert operator.get("/admin/password_change/").headers["Location"] == "/password/"


@pytest.mark.parametrize("said", ["7", "65"])
def test_the_length_cannot_be_set_to_nonsense(site: Stack, said: str) -> None:
    """D2, and ASVS 5.0, 6.2.1 and 6.2.9: at least 8, and 64 are always allowed."""
    with pytest.raises(subprocess.CalledProcessError) as error:
        site.manage("check", PASSWORD_MIN_LENGTH=said)
    assert re.match(r"PASSWORD_MIN_LENGTH .*PASSWORD_MIN_LENGTH=15", error.value.stderr)


def test_a_shorter_length_is_the_operator_s_choice(site: Stack) -> None:
    check = "from django.contrib.auth.password_validation import validate_password as v; v('nine-Xq7z')"
    site.manage("shell", "-v0", "-c", check, PASSWORD_MIN_LENGTH="8")
    assert refused("nine-Xq7z"), "or this test means nothing"


# --- Guessing ---


def test_a_taken_session_is_no_second_way_to_guess(site: Stack) -> None:
    """T-30: the wrong ones here and at the login are counted together, and then even the right one must wait."""
    person = signed_in(site, "guessed-at")
    for _ in range(TRIES):
        answer = person.post("/password/", current="not her password", new=NEW)
        assert (answer.status_code, answer.json()["code"]) == (422, "CREDENTIALS")
    assert "again in" in answer.json()["errmsg"]
    answer = person.post("/password/", current=OLD, new=NEW)
    assert (answer.status_code, answer.json()["code"]) == (429, "PASSWORD_LIMIT")
    assert int(answer.headers["Retry-After"]) > 0
    assert person.login("guessed-at", OLD).status_code == 429, "at the login of this browser as well"
    site.rows("DELETE FROM accounts_guesses")
    assert comes_in(site, "guessed-at", OLD)


# --- The first password of an account that began with a code ---


def by_code(site: Stack, mobile: str, person: Person | None = None) -> Person:
    """Sign in with a code, and return the browser."""
    person = person or site.person()
    before = sum(message.to == f"+86{mobile}" for message in site.phone.messages)
    person.ask(mobile)
    assert person.enter(site.phone.code_for(mobile, before + 1)).status_code == 200
    return person


def age(site: Stack, person: Person, seconds: float) -> None:
    """Make a browser's login older."""
    site.manage(
        "shell", "-v0", "-c",
        "from importlib import import_module\nfrom django.conf import settings\n"
        f"session = import_module(settings.SESSION_ENGINE).SessionStore({person.http.cookies['sessionid']!r})\n"
        f"session['proved_at'] -= {seconds!r}\nsession.save()",
    )  # fmt: skip


def test_who_came_by_a_code_sets_a_password_within_five_minutes_of_it(site: Stack) -> None:
    """T-36 in kind: a browser that was left open is not enough, nor the owner's login in another one."""
    mobile = number()
    person = by_code(site, mobile)
    age(site, person, 240.0)
    assert 'name="new"' in person.get("/password/").text
    age(site, person, 61.0)
    shown = person.get("/password/").text
    assert 'name="new"' not in shown
    assert 'href="/login/?again=1&amp;next=/password/"' in shown

    owner = by_code(site, mobile)
    answer = person.post("/password/", new=NEW)
    assert (answer.status_code, answer.json()["code"]) == (403, "REAUTHENTICATE")
    assert answer.json()["next"] == "/login/?again=1&next=/password/"
    assert person.htmx("/password/", new=NEW).headers["HX-Redirect"] == "/password/"
    page = person.page("/password/", new=NEW)
    assert (page.status_code, 'href="/login/?again=1&amp;next=/password/"' in page.text) == (403, True)
    assert not comes_in(site, mobile, NEW)

    by_code(site, mobile, person)
    answer = person.post("/password/", new=NEW)
    assert answer.json()["code"] == "OK"
    assert comes_in(site, mobile, NEW)
    assert person.username
    assert owner.username == "", "its session is from before the password"
    # From now on the present one is asked for, fresh or not.
    assert person.post("/password/", new="another one entirely").json()["code"] == "PARAM_MISSING"
