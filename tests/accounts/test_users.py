"""Accounts: names that cannot be taken for another's, numbers that belong to one, and the admin that shows both."""

from __future__ import annotations

import re
import subprocess
from functools import partial
from typing import TYPE_CHECKING

import pytest
from django.core.exceptions import ValidationError

from accounts import usernames
from accounts.models import USERNAME, User
from accounts.phone_numbers import BadMobile, canonical, looks_like_mobile
from tests.support.numbers import number
from tests.support.stack import Stack
from tests.support.together import together

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.person import Person

PASSWORD = "the operator's password"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site without cooldown, whose operator has made an account for herself."""
    with Stack(tmp_path_factory.mktemp("site"), SMS_COOLDOWN="0") as stack:
        superuser(stack, "operator")
        yield stack


def superuser(stack: Stack, username: str) -> None:
    """Make a superuser as the README says."""
    stack.manage(
        "createsuperuser", "--noinput", "--username", username, "--email", "", DJANGO_SUPERUSER_PASSWORD=PASSWORD
    )


@pytest.fixture(scope="module")
def operator(site: Stack) -> Person:
    """The operator, signed in as everybody is."""
    person = site.person()
    answer = person.page("/login/", username="operator", password=PASSWORD, next="/admin/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")
    return person


def refused(username: str) -> bool:
    """Tell whether a username is refused by the field's own rules."""
    field = User._meta.get_field("username")
    try:
        field.clean(username, None)
    except ValidationError:
        return True
    return False


# --- Names ---


@pytest.mark.parametrize("name", ["alice", "Alice-1", "a_b_c", "_____", "a" * 20, "13800a", "abc12345678", "138-001x"])
def test_an_ordinary_name_is_allowed(name: str) -> None:
    assert not refused(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "abcd",
        "a" * 21,
        "al ice",
        "alice\n",
        "\nalice",
        "alice\x00",
        "ａlice",
        "alice\u200b",
        "алиса",
        "alice@x",
        "+alice",
        "13800138000",
        "1380013",
        "138-0013-8000",
        "138_0013_8000",
        "8613800138000",
        "0086-138001380",
        "１３８００１３８０００",
    ],
)
def test_a_name_that_could_be_taken_for_another_is_refused(name: str) -> None:
    """T-32 and T-33: nothing like a number, nothing that looks like another name."""
    assert refused(name)


@pytest.mark.parametrize(
    "text", ["+86 138 0013 8000", "１３８００１３８０００", "(138) 0013-8000", "138.0013.8000", "1234567"]
)
def test_whatever_a_number_may_look_like_is_no_name(text: str) -> None:
    """T-32: both ways; no username is a spelling of a number."""
    assert looks_like_mobile(text)
    assert USERNAME.fullmatch(text) is None or refused(text)


def test_readable_names_are_names() -> None:
    """What an account made by a code is called: readable, allowed, and hardly ever the same."""
    made = [usernames.readable() for _ in range(500)]
    for name in made:
        assert re.fullmatch(r"[a-z]+-[a-z]+-[0-9]{4}", name)
        assert not refused(name)
    assert len(set(made)) > 490
    longest = f"{max(usernames.QUALITIES, key=len)}-{max(usernames.CREATURES, key=len)}-0000"
    assert len(longest) <= 20, longest


@pytest.mark.parametrize(
    "text", ["138 0013 8000", "+8613800138000", "0086 138-0013-8000", "１３８００１３８０００", "\t13800138000\n"]
)
def test_every_spelling_becomes_one(text: str) -> None:
    """T-4."""
    assert canonical(text) == "+8613800138000"


@pytest.mark.parametrize(
    "text", ["", "abc", "138001380001", "+1 202 555 0123", "13800138000\x00", "1380013８OOO", "9" * 65]
)
def test_what_is_no_number_becomes_none(text: str) -> None:
    with pytest.raises(BadMobile):
        canonical(text)


def test_two_names_that_differ_in_case_are_one(site: Stack) -> None:
    """T-33: the index holds it, whoever writes the row."""
    site.user("Twice-there")
    with pytest.raises(subprocess.CalledProcessError):
        site.user("twice-THERE")
    with pytest.raises(subprocess.CalledProcessError):
        superuser(site, "TWICE-there")
    assert len(site.rows("SELECT 1 FROM accounts_user WHERE lower(username) = 'twice-there'")) == 1


def test_a_number_belongs_to_one_account(site: Stack) -> None:
    mobile = f"+86{number()}"
    site.user("first-owner", mobile=mobile)
    with pytest.raises(subprocess.CalledProcessError):
        site.user("second-owner", mobile=mobile)
    site.user("numberless-1")
    site.user("numberless-2")


def test_a_superuser_has_a_proper_name_as_well(site: Stack) -> None:
    """T-32: no way round the rules."""
    for name in ("13800138000", "abc", "with space"):
        with pytest.raises(subprocess.CalledProcessError):
            superuser(site, name)
    assert site.rows("SELECT 1 FROM accounts_user WHERE username IN ('13800138000', 'abc', 'with space')") == []


def test_a_number_leads_to_its_owner_whatever_others_are_called(site: Stack) -> None:
    """T-32: even with a colliding row forced into the table."""
    mobile = number()
    site.manage(
        "shell", "-v0", "-c",
        "from accounts.models import User\n"
        f"User.objects.create_user({mobile!r}, password='the thief has this')\n"
        f"User.objects.create_user('real-owner', password='the owner has this', mobile='+86{mobile}')\n",
    )  # fmt: skip
    assert site.rows("SELECT 1 FROM accounts_user WHERE username = ?", mobile), "or this test means nothing"
    thief, owner = site.person(), site.person()
    assert thief.login(mobile, "the thief has this").json()["code"] == "CREDENTIALS"
    assert owner.login(mobile, "the owner has this").json()["username"] == "real-owner"
    thief.ask(mobile)
    assert thief.enter(site.phone.code_for(mobile)).json()["username"] == "real-owner"


def test_a_first_code_from_many_browsers_at_once_makes_one_account(site: Stack) -> None:
    """Eight browsers, each with a code of its own for one new number: all come in, as one user."""
    mobile = number()
    people = [site.person() for _ in range(8)]
    codes = []
    for n, person in enumerate(people):
        assert person.ask(mobile).status_code == 202
        codes.append(site.phone.code_for(mobile, n + 1))
    pairs = zip(people, codes, strict=True)
    answers = together([partial(person.enter, code) for person, code in pairs])
    assert [answer.status_code for answer in answers] == [200] * 8, [answer.text for answer in answers]
    (user,) = site.rows("SELECT username, password FROM accounts_user WHERE mobile = ?", f"+86{mobile}")
    assert {answer.json()["username"] for answer in answers} == {user["username"]}
    assert user["password"].startswith("!"), "an account made by a code has no password"
    assert "Traceback" not in site.logs()


# --- The admin ---


def test_the_operator_comes_in_by_the_front_door_too(site: Stack) -> None:
    person = site.person()
    assert person.login("operator", PASSWORD).status_code == 200
    assert person.get("/admin/").status_code == 200


def test_a_visitor_does_not_get_into_the_admin(site: Stack) -> None:
    """T-89."""
    person, mobile = site.person(), number()
    assert person.get("/admin/").status_code == 302
    person.ask(mobile)
    assert person.enter(site.phone.code_for(mobile)).status_code == 200
    for path in ("/admin/", "/admin/accounts/user/", "/admin/tasks/delivery/"):
        answer = person.get(path)
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith("/admin/login/")
        assert person.get(answer.headers["Location"]).status_code == 403
    stranger = site.person()
    answer = stranger.get(stranger.get("/admin/").headers["Location"])
    assert (answer.status_code, answer.headers["Location"]) == (302, "/login/?next=/admin/")
    assert stranger.page("/login/", username="operator", password="not her password").status_code == 422
    assert stranger.get("/admin/").status_code == 302


def test_every_page_of_the_admin_opens(site: Stack, operator: Person) -> None:
    mobile = number()
    site.person().ask(mobile)
    site.phone.code_for(mobile)
    (user,) = site.rows("SELECT id FROM accounts_user WHERE username = 'operator'")
    delivery = site.deliveries()[-1]["id"]
    for path in (
        "/admin/",
        "/admin/accounts/user/",
        "/admin/accounts/user/?q=operator",
        "/admin/accounts/user/add/",
        f"/admin/accounts/user/{user['id']}/change/",
        f"/admin/accounts/user/{user['id']}/history/",
        f"/admin/accounts/user/{user['id']}/password/",
        "/admin/tasks/delivery/",
        "/admin/tasks/delivery/?state__exact=sent",
        f"/admin/tasks/delivery/?q=%2B86{mobile}",
        f"/admin/tasks/delivery/{delivery}/change/",
        "/admin/jsi18n/",
    ):
        answer = operator.get(path)
        assert answer.status_code == 200, path
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert mobile in operator.get(f"/admin/tasks/delivery/?q=%2B86{mobile}").text
    assert site.phone.code_for(mobile) not in operator.get(f"/admin/tasks/delivery/{delivery}/change/").text


def test_deliveries_are_a_record(site: Stack, operator: Person) -> None:
    """Nobody adds one by hand or rewrites one."""
    site.person().ask(number())
    delivery = site.deliveries()[-1]
    assert operator.get("/admin/tasks/delivery/add/").status_code == 403
    changed = operator.page(f"/admin/tasks/delivery/{delivery['id']}/change/", mobile="+8613800138000", state="failed")
    assert changed.status_code == 403
    assert site.rows("SELECT mobile FROM tasks_delivery WHERE id = ?", delivery["id"]) == [
        {"mobile": delivery["mobile"]}
    ]


def test_the_operator_makes_an_account_that_works(site: Stack, operator: Person) -> None:
    """With the rules of T-32 and T-33 as messages on the form."""
    mobile = number()
    fields = {"usable_password": "true", "password1": "a fine new password", "password2": "a fine new password"}
    for username, number_ in (
        ("13800138000", ""),
        ("OPERATOR", ""),
        ("new-person", "13800138000"),
        ("new-person", "+86123"),
    ):
        answer = operator.page("/admin/accounts/user/add/", username=username, mobile=number_, **fields)
        assert answer.status_code == 200
        assert "errorlist" in answer.text
    answer = operator.page("/admin/accounts/user/add/", username="new-person", mobile=f"+86{mobile}", **fields)
    assert answer.status_code == 302, answer.text
    person = site.person()
    assert person.login(mobile, "a fine new password").json()["username"] == "new-person"
    # A second one without a number does not collide with the first.
    for username in ("without-1", "without-2"):
        assert operator.page("/admin/accounts/user/add/", username=username, mobile="", **fields).status_code == 302
