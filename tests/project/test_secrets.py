"""A whole day of a site with everything written into its logs; then logs, Redis, database and disk are searched."""

from __future__ import annotations

import json
import logging
import re
import signal
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from project.log import Line
from tests.support.contents import everything_in_redis, everything_in_the_database
from tests.support.numbers import number
from tests.support.production import PRODUCTION
from tests.support.provider import Provider
from tests.support.stack import Stack, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.person import Person

PASSWORD = "correct-horse battery staple"
NEW_PASSWORD = "a wholly new pass phrase"
WRONG_PASSWORD = "Tr0ub4dor&3-wrong-here"
RECEIPTS = "r3ce1ptS3cret0123456789abcdefghi"
FORGED = "2026-01-01 00:00:00,000 ERROR accounts.views: forged"
# Which columns hold whole numbers: whom an account belongs to, and where an SMS has to go.
HOLD_NUMBERS = {("accounts_user", "mobile"), ("tasks_delivery", "mobile")}


class Day:
    """What happened on a site, and what nobody may find afterwards."""

    def __init__(self, stack: Stack) -> None:
        """Take a site that runs."""
        self.stack = stack
        self.people: list[Person] = []
        self.numbers: list[str] = []
        self.keys: set[str] = {stack.settings["SECRET_KEY"], RECEIPTS, PASSWORD, NEW_PASSWORD, WRONG_PASSWORD}
        self.keys |= {
            stack.settings.get("YUNTONGXUN_AUTH_TOKEN", RECEIPTS),
            stack.redis.get_connection_kwargs()["password"],
        }

    def person(self) -> Person:
        """Return a visitor whose cookies are remembered."""
        person = self.stack.person()
        person.http.event_hooks["response"].append(self._remember)
        self.people.append(person)
        return person

    def _remember(self, answer: httpx.Response) -> None:
        found = re.findall(r"(?:sessionid|csrftoken)=(\w{20,})", "; ".join(answer.headers.get_list("set-cookie")))
        self.keys |= set(found)
        answer.read()
        self.keys |= set(re.findall(r'csrfmiddlewaretoken" value="(\w+)"', answer.text))

    def number(self) -> str:
        """Return a number that is remembered."""
        self.numbers.append(number())
        return self.numbers[-1]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    """Everything that people, attackers, providers and operators do, with every log at its loudest."""
    with Provider() as provider:
        stack = Stack(
            tmp_path_factory.mktemp("site"), provider=provider, LOG_LEVEL="DEBUG", SMS_COOLDOWN="0",
            YUNTONGXUN_RECEIPT_SECRET=RECEIPTS,
        )  # fmt: skip
        # The access log as well.
        stack.webs[0].command[stack.webs[0].command.index("-v") + 1] = "2"
        stack.workers[0].command.append("-v")
        with stack:
            stack.manage(
                "shell", "-v0", "-c",
                "from accounts.models import User\n"
                f"User.objects.create_superuser('operator', password={PASSWORD!r})\n"
                f"User.objects.create_user('alice-1', password={PASSWORD!r})\n",
            )  # fmt: skip
            day = Day(stack)
            people_sign_in(day)
            sends_fail(day, provider)
            attackers_try(day)
            the_operator_looks(day)
            parts_break(day)
            # What is put off is done, so that it has been logged.
            wait_until(
                lambda: not [row for row in stack.deliveries() if row["state"] in {"queued", "sending", "retrying"}], 40
            )
            yield day


def people_sign_in(day: Day) -> None:
    """By code and by password, with mistakes, on a page, by htmx and as a program; and a new password."""
    stack = day.stack
    person, mobile = day.person(), day.number()
    page = person.open()
    assert person.ask(mobile).status_code == 202
    code = stack.phone.code_for(mobile)
    assert person.enter("000000" if code != "000000" else "000001").status_code == 422
    page.wait_for("delivery", state="sent")
    assert person.page("/login/code/", code=code, mobile=mobile).status_code == 302
    assert person.logout().status_code == 200
    for send in (person.post, person.htmx, person.page):
        send("/login/", username="alice-1", password=WRONG_PASSWORD)
        send("/code/", mobile=day.number())
        send("/login/code/", code="123")
        send("/login/", username=mobile, password=WRONG_PASSWORD)
    alice = day.person()
    assert alice.login("alice-1", PASSWORD, remembered="on").status_code == 200
    answer = alice.post("/password/", current=PASSWORD, new=NEW_PASSWORD, again=NEW_PASSWORD)
    assert answer.status_code in {200, 422}
    alice.post("/password/", current=WRONG_PASSWORD, new=NEW_PASSWORD)
    alice.open().wait_for("connection", state="live")


def sends_fail(day: Day, provider: Provider) -> None:
    """As a provider repeats what it was told, hangs up, or says no; and its reports, true and false."""
    for mode in ("busy", "auth_error", "bad_number", "400", "accept_then_garbage", "accept_then_reset", "reset"):
        provider.script(mode)
        assert day.person().ask(day.number()).status_code == 202
    wait_until(lambda: len(provider.requests) >= 8, 20)
    for secret in (RECEIPTS, "w" * 32):
        address = f"{day.stack.url}/receipts/yuntongxun/{secret}/"
        for content in (b"{", b"<Request/>", json.dumps({"recvPhone": day.number()}).encode()):
            httpx.post(address, content=content, headers={"Content-Type": "application/json"}, verify=False)


def attackers_try(day: Day) -> None:
    """What is typed so that it looks like a line of the log, in every place that might be written down."""
    person, mobile = day.person(), day.number()
    for line in (f"x\n{FORGED}", f"x\r\n{FORGED}", f"x\u2028{FORGED}", f"\x1b[2K{FORGED}"):
        person.post("/login/", username=line, password=WRONG_PASSWORD)
        person.post("/code/", mobile=line, purpose=line)
        person.post("/login/code/", code=line, mobile=mobile)
        person.post("/i18n/setlang/", language=line, next=line)
        for path in (f"/{line}/", f"/receipts/{line}/{line}/", f"/receipts/yuntongxun/{RECEIPTS}{line}/"):
            httpx.get(day.stack.url + quote(path), verify=False)
            httpx.post(day.stack.url + quote(path), content=b"1" * 100_000, verify=False)
    person.get(f"/login/?mobile=%2B86{mobile}&code=123456&next=/{mobile}")
    person.http.post("/login/", data={"username": "alice-1", "password": PASSWORD})
    person.http.post("/login/", data={"password": PASSWORD}, headers={"X-CSRFToken": day.people[0].token})
    httpx.get(f"{day.stack.url}/", headers={"Host": "evil.example"}, verify=False)
    socket = person.open().socket
    try:
        for message in (f"+86{mobile}", FORGED, json.dumps({"type": "sms.status", "key": person.token})):
            socket.send(message)
    except ConnectionClosed:
        pass


def the_operator_looks(day: Day) -> None:
    """The admin with numbers in its addresses, and a password that the operator sets for somebody."""
    person = day.person()
    assert person.login("operator", PASSWORD).status_code == 200
    assert person.get(f"/admin/tasks/delivery/?q=%2B86{day.numbers[0]}").status_code == 200
    fields = {"usable_password": "true", "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    answer = person.page("/admin/accounts/user/add/", username="made-here", mobile=f"+86{day.number()}", **fields)
    assert answer.status_code == 302, answer.text


def parts_break(day: Day) -> None:
    """Redis away, the database wrong, a view broken: with whatever was on its way."""
    stack, person, mobile = day.stack, day.person(), day.number()
    assert person.ask(mobile).status_code == 202
    code = stack.phone.code_for(mobile)
    stack.signal_valkey(signal.SIGSTOP)
    assert person.enter(code).status_code == 503
    assert person.ask(day.number()).status_code == 503
    stack.signal_valkey(signal.SIGCONT)
    broken = day.person()
    broken.get("/login/")
    broken.take_session(stack.broken_session())
    assert broken.post("/code/", mobile=day.number(), password=PASSWORD).status_code == 500
    stack.rows("DELETE FROM django_session WHERE session_data = ''")


def codes_of(day: Day) -> set[str]:
    """Return every code that a handset has got."""
    return {message.code for message in day.stack.phone.messages}


def whole(code: str) -> str:
    """Return a pattern that finds a code, but not in the middle of a longer number."""
    return rf"(?<![0-9a-zA-Z.]){code}(?![0-9a-zA-Z])"


def test_the_logs_are_loud(day: Day) -> None:
    """The premise of what follows."""
    logs = day.stack.logs()
    for word in (
        "DEBUG",
        "GET /login/",
        "POST /receipts/",
        "delivery ",
        "Traceback",
        "tasks.sms",
        "sign",
        "HTTP b'POST'",
    ):
        assert word in logs, word
    assert len(codes_of(day)) >= 5
    assert len(day.keys) > 30
    assert len(day.numbers) > 15


def test_no_log_holds_a_secret(day: Day) -> None:
    """T-84: neither ours nor the server's nor the worker's, at the level DEBUG, with every failure."""
    logs = day.stack.logs()
    assert [key for key in day.keys if key in logs] == []
    assert [code for code in codes_of(day) if re.search(whole(code), logs)] == []
    assert [mobile for mobile in day.numbers if mobile in logs] == []


def test_nobody_writes_a_line_of_the_log_by_himself(day: Day) -> None:
    """T-84, CWE-117: what was typed stands in the middle of a line, with its line break to be seen."""
    lines = day.stack.logs().splitlines()
    found = [line for line in lines if FORGED in line]
    assert len(found) > 3, "or this test means nothing"
    assert any(rf"\n{FORGED}" in line or rf"\\n{FORGED}" in line for line in found), found
    assert [line for line in lines if line.lstrip().startswith(FORGED)] == []
    assert "\x1b" not in day.stack.logs()


def test_redis_holds_no_secret(day: Day) -> None:
    """T-84, T-24: no key, no value, nor what it wrote to its disk: the queue, the limits, the pushes."""
    stored = "\n".join(everything_in_redis(day.stack))
    written = b"".join(path.read_bytes() for path in (day.stack.folder / "valkey" / "appendonlydir").iterdir())
    assert "challenge" in stored + written.decode("latin-1"), "or this test means nothing"
    for text in (stored, written.decode("latin-1")):
        assert [key for key in day.keys if key in text] == []
        assert [code for code in codes_of(day) if re.search(whole(code), text)] == []
        assert [mobile for mobile in day.numbers if mobile in text] == []


def test_the_database_holds_no_secret_and_numbers_only_where_they_are_needed(day: Day) -> None:
    """T-84, T-24: no session's key, so a copy of it signs nobody in; every other table is without numbers."""
    everything = "\n".join(everything_in_the_database(day.stack))
    assert "alice-1" in everything, "or this test means nothing"
    assert [key for key in day.keys if key in everything] == []
    assert [code for code in codes_of(day) if re.search(whole(code), everything)] == []
    assert [mobile for mobile in day.numbers if mobile in everything], "or the next means nothing"
    holding = set()
    for table in day.stack.rows("SELECT name FROM sqlite_master WHERE type = 'table'"):
        for row in day.stack.rows(f'SELECT * FROM "{table["name"]}"'):
            for column, value in row.items():
                if any(mobile in str(value) for mobile in day.numbers):
                    holding.add((table["name"], column))
    assert holding <= HOLD_NUMBERS


def test_the_disk_holds_no_secret(day: Day) -> None:
    """T-84, T-87: the database's file with what was deleted from it, and everything else under VAR_DIR."""
    for path in day.stack.folder.rglob("*"):
        # The address of the embedded Valkey is its password's place.
        if path.is_file() and path.parent.name != "valkey":
            content = path.read_bytes().decode("latin-1")
            assert [key for key in day.keys if key in content] == [], path.name
    secrets = [path for path in (day.stack.folder / "valkey").iterdir() if path.is_file()]
    assert secrets
    assert [path.name for path in secrets if path.stat().st_mode & 0o077] == []


# --- What a visitor is shown when something breaks ---


def test_an_error_page_tells_nothing_of_us(tmp_path: Path) -> None:
    """T-84, T-87: without DEBUG. The log has the traceback, and the log has no secret either."""
    with Stack(tmp_path, workers=0, **{**PRODUCTION, "LOG_LEVEL": "DEBUG"}) as stack:
        person, mobile = stack.person(), number()
        person.get()
        person.take_session(stack.broken_session())
        cookies = dict(person.http.cookies.items())
        answers = [
            person.post("/code/", mobile=mobile, password=PASSWORD),
            person.htmx("/code/", mobile=mobile, password=PASSWORD),
            person.page("/code/", mobile=mobile, password=PASSWORD),
        ]
        assert [answer.status_code for answer in answers] == [500, 500, 500]
        logs = stack.logs()
        assert "Traceback" in logs
        for text in (*(answer.text for answer in answers), logs):
            for secret in (
                *cookies.values(),
                PASSWORD,
                stack.settings["SECRET_KEY"],
                PRODUCTION["YUNTONGXUN_AUTH_TOKEN"],
            ):
                assert secret not in text
        for answer in answers:
            assert not re.search(r"Traceback|\.py|Django|SECRET|DATABASE|/tmp/|parse", answer.text)


# --- The net under all of this ---


def logged(message: str, *values: Any, error: BaseException | None = None) -> str:
    """Return a line as a handler writes it."""
    info: Any = (type(error), error, error.__traceback__) if error else None
    record = Line("name", logging.INFO, "file.py", 1, message, values, info)
    return logging.Formatter("%(levelname)s %(message)s").format(record)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("+8613800138000", "***00"),
        ("13800138000", "***00"),
        ("+14155550123", "***23"),
        ("k2j4h5g6f7d8s9a0z1x2c3v4b5n6m7q8", "***"),
        ("IaQ9kGuCEMwTeIaQ9kGuCEMwTeIaQ9kG", "***"),
        ("IaQ9kGuCEMwTeIaQ9kGuCEMwTeIaQ9kG" * 2, "***"),
        ("a\nb\r\n\x1b[31mc\u2028d\u202ee\x85", r"a\nb\r\n\x1b[31mc\u2028d\u202ee\x85"),
        ("中文 é – fine\tas it is", "中文 é – fine\tas it is"),
        # What is worth reading.
        ("0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef"),
        ("delivery 12345678 at 1700000000", "delivery 12345678 at 1700000000"),
        ("http://127.0.0.1:13800/", "http://127.0.0.1:13800/"),
        ("SM0123456789abcdef0123456789abcdef", "SM0123456789abcdef0123456789abcdef"),
    ],
)
def test_a_line_is_made_harmless_whoever_writes_it(value: str, shown: str) -> None:
    """T-84: for a library that quotes what it was given."""
    assert logged("got %s here", value) == f"INFO got {shown} here"


def test_a_known_secret_is_no_line_of_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """T-84: whatever it looks like."""
    monkeypatch.setattr(Line, "secrets", ("hunter2 with spaces",))
    assert logged("redis://:%s@host", "hunter2 with spaces") == "INFO redis://:***@host"
    error = ValueError("hunter2 with spaces and +8613800138000\nERROR forged")
    lines = logged("it broke", error=error).splitlines()
    assert lines[0] == "INFO it broke"
    assert lines[-2:] == ["ValueError: *** and ***00", "    ERROR forged"]
    assert logged("one\ntwo") == "INFO one\n    two"


def test_every_process_writes_its_lines_so() -> None:
    """Set up with Django's own logging: here too."""
    assert "django" in sys.modules
    assert logging.getLogRecordFactory() is Line
