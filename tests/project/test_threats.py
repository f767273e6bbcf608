"""Threats that no other file is about. docs/security.md lists each with its tests."""

from __future__ import annotations

import ast
import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
import redis
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Guesses, User
from project.run import valkey
from project.server.daphne_body import MAX_READ
from tasks.models import random_id
from tests.support.faultproxy import FaultProxy
from tests.support.numbers import number
from tests.support.person import leaves
from tests.support.stack import ROOT, Stack, wait_until
from tests.support.together import tabs, together

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

    from tests.support.person import Person

PASSWORD = "correct horse battery"
SOURCES = sorted(path for app in ("accounts", "home", "project", "tasks") for path in ROOT.joinpath(app).rglob("*.py"))


class Shared:
    """A Redis that others use too: ours is one user of it, with no more rights than docs/operators.md gives him."""

    def __init__(self, folder: Path) -> None:
        """Start it, and make the user."""
        self.folder = folder
        valkey.ensure(folder)
        self.address = urlsplit(valkey.url(folder))
        self.password = secrets.token_urlsafe(24)
        page = ROOT.joinpath("docs", "operators.md").read_text()
        (line,) = re.findall(r"^user latchkey (on .*)$", page, re.MULTILINE)
        rights = line.replace(">...64 random characters...", f">{self.password}").split()
        client: Any = redis.Redis
        self.admin = client.from_url(valkey.url(folder))
        assert self.admin.execute_command("ACL", "SETUSER", "latchkey", *rights)

    def url(self, port: int) -> str:
        """Return the site's way in, through a proxy on this port."""
        return f"redis://latchkey:{self.password}@127.0.0.1:{port}/0"

    def stop(self) -> None:
        """Kill it."""
        mine = valkey.owned.pop(self.folder / "valkey")
        mine.server.kill()
        mine.server.wait()
        os.close(mine.lock)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """A Redis with a user for us."""
    shared = Shared(tmp_path_factory.mktemp("redis"))
    yield shared
    shared.stop()


@pytest.fixture(scope="module")
def proxy(shared: Shared) -> Iterator[FaultProxy]:
    """What stands before it."""
    with FaultProxy("127.0.0.1", shared.address.port or 0) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def site(shared: Shared, proxy: FaultProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site whose Redis it is, with two servers."""
    with Stack(tmp_path_factory.mktemp("site"), webs=2, REDIS_URL=shared.url(proxy.port)) as stack:
        yield stack


def sms_to(site: Stack, mobile: str) -> int:
    """Return how many SMS a number has got, once a later request of somebody else has been worked off."""
    last = number()
    assert site.person().ask(last).status_code == 202
    site.phone.code_for(last)
    return sum(message.to == f"+86{mobile}" for message in site.phone.messages)


# --- Redis


def test_with_the_rights_that_the_operators_page_gives_everything_works(site: Stack) -> None:
    """T-95: pages, codes, pushes, the queue and its tools, by a user who may not look at or wipe what is others'."""
    person, mobile = site.person(), number()
    page = person.open()
    page.wait_for("connection", state="live")
    person.ask(mobile)
    page.wait_for("delivery", state="sent")
    assert person.enter(site.phone.code_for(mobile)).status_code == 200
    assert site.manage("check_queue")
    assert site.manage("gateways")
    assert site.get("/readyz").status_code == 200
    assert "NOPERM" not in site.logs().upper()


def test_the_sites_own_user_cannot_look_around_wipe_or_configure_redis(shared: Shared, site: Stack) -> None:
    """T-95."""
    nobody = redis.Redis(port=shared.address.port or 0)
    with pytest.raises(redis.AuthenticationError):
        nobody.get("anything")
    ours: Any = redis.Redis.from_url(shared.url(shared.address.port or 0))
    assert ours.set("latchkey:test", 1, px=10), "or this test means nothing"
    for words in (
        "CONFIG GET requirepass", "CONFIG SET maxmemory 1", "FLUSHALL", "FLUSHDB", "KEYS *", "DEBUG SLEEP 0",
        "SHUTDOWN NOSAVE", "ACL LIST", "ACL SETUSER mallory on nopass ~* +@all", "MONITOR", "REPLICAOF NO ONE",
        "CLIENT LIST", "CLIENT KILL TYPE normal", "MODULE LIST", "SAVE", "BGREWRITEAOF", "SWAPDB 0 1", "SLOWLOG GET",
    ):  # fmt: skip
        with pytest.raises(redis.ResponseError, match=r"permission|not allowed"):
            ours.execute_command(*words.split())
    assert b"mallory" not in shared.admin.execute_command("ACL", "USERS")


def test_a_bell_whose_answer_is_lost_is_still_one_promise_and_one_sms(site: Stack, proxy: FaultProxy) -> None:
    """T-8: Redis has rung it along with the gate, and all that we hear is a broken connection."""
    person, mobile = site.person(), number()
    assert person.token
    before = proxy.dropped
    proxy.drop_reply(b":cooldown:")
    answer = person.ask(mobile)
    assert proxy.dropped == before + 1, "or this test means nothing"
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    code = site.phone.code_for(mobile)
    assert sms_to(site, mobile) == 1
    assert person.enter(code).status_code == 200


def test_a_gate_whose_answer_is_lost_belongs_to_who_shut_it(site: Stack, proxy: FaultProxy) -> None:
    """T-8: asked again with the same id, the script says yes to the same request, and to no other."""
    person, mobile = site.person(), number()
    assert person.token
    before = proxy.dropped
    proxy.drop_reply(b":cooldown:")
    answer = person.ask(mobile)
    assert proxy.dropped == before + 1, "or this test means nothing"
    assert answer.status_code == 202, answer.text
    assert person.ask(mobile).status_code == 429
    assert sms_to(site, mobile) == 1


# --- The same request twice


def test_a_form_that_is_sent_twice_is_one_sms_and_both_answers_say_so(site: Stack) -> None:
    """T-78: double click, a browser that repeats by itself, a reload of the answer; over two servers."""
    person, mobile = site.person(), number()
    mine = tabs(site, person, 4)
    answers = together([lambda tab=tab: tab.page("/code/", mobile=mobile) for tab in mine])  # type: ignore[misc]
    assert sorted(answer.status_code for answer in answers) == [202, 429, 429, 429]
    for answer in answers:
        # Whoever comes second is shown the countdown that runs, and not an error on an empty page.
        assert int(leaves(answer.text)["countdown"]["data-seconds"]) > 0
    code = site.phone.code_for(mobile)
    assert person.page("/code/", mobile=mobile).status_code == 429
    assert sms_to(site, mobile) == 1

    # The code's form as well: one login, and the second answer takes nobody out again.
    answers = together([lambda tab=tab: tab.page("/login/code/", code=code) for tab in mine])  # type: ignore[misc]
    assert sorted(answer.status_code for answer in answers) == [302, 422, 422, 422]
    winner = next(tab for tab, answer in zip(mine, answers, strict=True) if answer.status_code == 302)
    assert winner.username
    assert winner.page("/login/code/", code=code).status_code == 422
    assert winner.username, "a used code signs nobody out"


def test_a_form_from_before_the_login_that_is_sent_again_changes_nothing(site: Stack) -> None:
    """T-78: the back button, then "send again". Its token was replaced by the login."""
    person, mobile = site.person(), number()
    old = {"csrfmiddlewaretoken": person.token, "mobile": mobile}
    person.ask(mobile)
    assert person.enter(site.phone.code_for(mobile)).status_code == 200
    again = person.http.post("/code/", data=old, headers={"Accept": "text/html"})
    assert again.status_code == 403
    assert person.username
    assert sms_to(site, mobile) == 1


# --- Sizes


def resident(part: Any) -> int:
    """Return the memory of a process in bytes."""
    found = re.search(r"VmRSS:\s+([0-9]+) kB", Path(f"/proc/{part.pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


def send_huge(person: Person, size: int) -> None:
    """Send a body as a file, as a form, as JSON and in pieces without a length, and be refused each time."""
    token = person.token
    file = (
        f'--x\r\nContent-Disposition: form-data; name="mobile"\r\n\r\n1\r\n--x\r\n'
        f'Content-Disposition: form-data; name="f"; filename="a"\r\n\r\n{"a" * size}\r\n--x--\r\n'
    ).encode()

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(file), 65536):
            yield file[start : start + 65536]

    for kind, body in (
        ("multipart/form-data; boundary=x", file),
        ("multipart/form-data; boundary=x", pieces()),
        ("application/x-www-form-urlencoded", b"mobile=" + b"1" * size),
        ("application/json", b"[" * size),
    ):
        headers = {"Content-Type": kind, "Accept": "application/json", "X-CSRFToken": token}
        answer = person.http.post("/code/", content=body, headers=headers)
        assert 400 <= answer.status_code < 500, (kind, answer.status_code)
        assert answer.headers["Content-Type"].startswith(("application/json", "text/html")), kind


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc here to read a process's memory from")
def test_bodies_of_ten_megabytes_leave_the_memory_flat(site: Stack) -> None:
    """T-81: daphne by itself keeps all of it, and Django looks at no file's length."""
    person = site.person()
    # Until every thread has had one, and has what it needs.
    for _ in range(20):
        send_huge(person, 10_000_000)
    # What is kept grows with every round. What a thread's allocator holds back grows with one, and then stays.
    grown: list[int] = []
    while not grown or (grown[-1] >= 20_000_000 and len(grown) < 3):
        before = resident(site.webs[0])
        for _ in range(20):
            send_huge(person, 10_000_000)
        grown.append(resident(site.webs[0]) - before)
    assert min(grown) < 20_000_000, grown
    # The log tells lengths, and nothing of what was in there.
    assert "not readable" in site.logs()
    assert "aaaaaaaaaa" not in site.logs()


def test_who_never_stops_sending_is_hung_up_on(site: Stack) -> None:
    """T-81: a length of a terabyte, or none."""
    person = site.person()
    assert person.token
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 20 * MAX_READ:
            sent += 65536
            yield b"a" * 65536

    with pytest.raises(httpx.TransportError):
        person.http.post("/code/", content=endless())
    # What the kernel had taken already is on its way as well.
    assert sent < 3 * MAX_READ
    assert site.get("/healthz").status_code == 200


# --- What is told by how long it takes. `make timing` measures it; here is why there is nothing to measure


@pytest.fixture
def inside(db: None, settings: Settings) -> Iterator[None]:
    """This process as a web server, with a Valkey of its own."""
    valkey.ensure(settings.VAR_DIR)
    client = redis.Redis.from_url(settings.REDIS_URL)
    client.flushdb()
    for name in ("SMS_PER_HOUR", "SMS_PER_DAY", "SMS_PER_IP_HOUR", "SMS_BUDGET_HOUR"):
        setattr(settings, name, 10**6)
    yield
    client.flushdb()


def statements(client: Client, path: str, fields: dict[str, str]) -> tuple[int, list[str]]:
    """Return the status, and every SQL statement without what is in it."""
    with CaptureQueriesContext(connection) as caught:
        answer = client.post(path, fields, headers={"Accept": "application/json"})
    plain = [re.sub(r"'[^']*'|\b[0-9]+\b", "?", str(query["sql"])) for query in caught.captured_queries]
    # What a savepoint is called is a running number.
    return answer.status_code, [re.sub(r'"s[0-9_x]+"', "?", sql) for sql in plain]


@pytest.mark.parametrize("sign_up", [True, False])
def test_asking_for_a_code_does_the_same_work_for_every_number(inside: None, settings: Settings, sign_up: bool) -> None:
    """T-10: not one statement more or less, and none that looks at an account."""
    settings.SIGN_UP = sign_up
    known, inactive = f"+86{number()}", f"+86{number()}"
    User.objects.create_user("margaret", mobile=known, password=PASSWORD)
    User.objects.create_user("harold", mobile=inactive, is_active=False)
    # The first request of all warms what is kept in memory.
    assert statements(Client(), "/code/", {"mobile": number()})[0] == 202
    told = [statements(Client(), "/code/", {"mobile": mobile}) for mobile in (known, number(), inactive)]
    assert [status for status, _ in told] == [202, 202, 202]
    (first, *others) = [sql for _, sql in told]
    assert first
    assert all(other == first for other in others)
    assert not [sql for sql in first if "accounts_user" in sql]


class Counted(Argon2PasswordHasher):
    """Argon2 that counts how often it is run."""

    runs = 0

    def encode(self, password: str, salt: str) -> str:
        """Hash."""
        Counted.runs += 1
        return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        """Hash and compare."""
        Counted.runs += 1
        return super().verify(password, encoded)


def test_every_wrong_password_costs_one_hash_and_the_same_statements(inside: None, settings: Settings) -> None:
    """T-29: who exists, who is switched off and who has no password cannot be told from who does not exist."""
    settings.PASSWORD_HASHERS = [f"{__name__}.Counted"]
    known, unknown = f"+86{number()}", number()
    User.objects.create_user("margaret", mobile=known, password=PASSWORD)
    User.objects.create_user("harold", password=PASSWORD, is_active=False)
    codes_only = User.objects.create_user("gerald")
    codes_only.set_unusable_password()
    codes_only.save()
    names = ["margaret", "nobody-here", known, unknown, "harold", "gerald"]
    # Each account that is guessed at for the first time has a row made for the count of it; so has each address once.
    Client().post("/login/", {"username": "somebody-else", "password": PASSWORD})
    told = []
    for name in names:
        # By whatever name: an account that was guessed at before has its rows already.
        Guesses.objects.filter(key__startswith="password:").delete()
        Guesses.objects.filter(key__startswith="pair:").delete()
        Counted.runs = 0
        status, sql = statements(Client(), "/login/", {"username": name, "password": f"not {PASSWORD}"})
        told.append((status, Counted.runs, len(sql)))
    assert told[0][:2] == (422, 1)
    assert set(told) == {told[0]}, dict(zip(names, told, strict=True))


def test_what_is_secret_is_compared_in_constant_time() -> None:
    """T-26: no `==` on a code, a signature or a token, so that five right digits take no longer to refuse."""
    secret = re.compile(r"code|digits|secret|signature|token|password|digest|hash", re.IGNORECASE)
    found: list[str] = []
    safe: set[str] = set()
    for path in SOURCES:
        text = path.read_text()
        if "compare_digest" in text or "constant_time_compare" in text:
            safe.add(str(path.relative_to(ROOT)))
        for node in ast.walk(ast.parse(text)):
            if not (isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq)):
                continue
            sides = [node.left, *node.comparators]
            names = {word.id if isinstance(word, ast.Name) else word.attr for side in sides for word in ast.walk(side)
                     if isinstance(word, ast.Name | ast.Attribute)}  # fmt: skip
            # Nobody's secret stands in the source.
            plain = any(isinstance(side, ast.Constant) for side in sides)
            if not plain and any(secret.search(name) for name in names):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}")
    assert {"tasks/models.py", "tasks/receipts.py", "tasks/gateways/twilio/__init__.py"} <= safe, (
        "or this test means nothing"
    )
    assert found == []


# --- Chance


def test_servers_that_were_forked_in_the_same_instant_give_different_codes() -> None:
    """T-12: a code comes from its delivery's id, and that from the system, not from a state that a fork copies."""
    ids = [random_id() for _ in range(100)]
    for _ in range(8):
        theirs, ours = os.pipe()
        if os.fork() == 0:
            os.write(ours, "".join(random_id() for _ in range(100)).encode())
            os._exit(0)
        os.close(ours)
        with os.fdopen(theirs, "rb") as pipe:
            said = pipe.read().decode()
        os.wait()
        ids += re.findall("[0-9a-f]{32}", said)
    assert len(ids) == len(set(ids)) == 900


def test_nothing_that_must_not_be_guessed_comes_from_a_guessable_source() -> None:
    """T-12: the module `random` draws ports and imitated delays, and nothing else."""
    users = {
        str(path.relative_to(ROOT))
        for path in SOURCES
        if re.search(r"^(?:import random|from random import)", path.read_text(), re.MULTILINE)
    }
    assert "project/run/valkey.py" in users, "or this test means nothing"
    pages = {"accounts/consumers.py", "accounts/live/recheck.py", "project/live/handshakes.py"}
    assert users <= {"project/run/valkey.py", "project/broker/connection.py", "tasks/decoy.py", *pages}
    # A UUID is no secret (ASVS 5.0, 11.5.1). This one only sets two requests to a provider apart.
    users = {str(path.relative_to(ROOT)) for path in SOURCES if "uuid" in path.read_text()}
    assert users == {"tasks/gateways/aliyun/__init__.py"}


# --- Clocks

# Who reads this machine's own clock of the day, and why that is no matter. Everything else asks the database, Redis, or
# the monotonic clock, which nobody sets.
CLOCKS = {
    # A visitor's signed session ends by the web server's clock; nothing is in it.
    "accounts/sessions/visitors.py",
    # How long ago the password was proved; a time in the future is none.
    "accounts/passwords/reauthentication.py",
    # How long a page counts down after a reload. Whether a code may be asked for is not decided there.
    "accounts/codes/cooldown_cookie.py",
    # A proof of humanity ends; that it is used once is Redis's matter.
    "accounts/throttling/proof_of_work.py",
    # The self-test's stop watch.
    "accounts/dev/consumers.py", "tasks/debug.py",
    # What the provider wants to see in a signature; the operator is told when its clock is wrong.
    *(f"tasks/gateways/{name}/__init__.py" for name in ("aliyun", "tencent", "yuntongxun")),
    # What stands beside a message on the dev phone.
    "tasks/gateways/phone.py",
}  # fmt: skip


def test_no_decision_hangs_on_a_servers_own_clock() -> None:
    """T-76: whoever adds a reader of the clock says here why a jump of it does no harm."""
    clock = r"timezone\.now\(|time\.time\(|datetime\.(?:now|utcnow|today)\(|date\.today\(|TimestampSigner\("
    readers = {str(path.relative_to(ROOT)) for path in SOURCES if re.search(clock, path.read_text())}
    assert "tasks/debug.py" in readers, "or this test means nothing"
    assert readers <= CLOCKS


def libfaketime() -> str:
    """Return the library that gives a process a clock of its own, or skip."""
    found = os.environ.get("LATCHKEY_TEST_FAKETIME") or next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    if found is None:
        pytest.skip("no libfaketime here. Debian: apt-get install libfaketime")
    return str(found)


def test_a_clock_that_jumps_ages_no_code_and_renews_none(tmp_path: Path, database: str) -> None:
    """T-23, T-76: web and worker two hours ahead of database and Redis, then two behind, in mid-life of a code."""
    clock = tmp_path / "clock"
    clock.write_text("+0")
    faked: dict[str, Any] = {
        "LD_PRELOAD": libfaketime(),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    settings: dict[str, Any] = {"DATABASE_URL": database, "SMS_COOLDOWN": "2", "SMS_CODE_TTL": "10", "LANG": "C.UTF-8"}
    with Stack(tmp_path / "site", **faked, **settings) as site:
        # Twisted's clock jumps as well, and it hangs up on whoever seems to have been silent for two hours: a browser
        # asks again on another connection, and httpx does not.
        briefly: dict[str, Any] = {"Connection": "close"}
        person, late, mobile, other = site.person(**briefly), site.person(**briefly), number(), number()
        assert late.ask(other).status_code == 202
        stale = site.phone.code_for(other)
        assert person.ask(mobile).status_code == 202
        code = site.phone.code_for(mobile)
        clock.write_text("+2h")
        assert person.enter(code).status_code == 200, "a clock ahead ends no code"
        assert person.username
        clock.write_text("-2h")
        # The cooldown is over when its two seconds are, and not two hours later.
        wait_until(lambda: person.ask(mobile).status_code == 202, 10, "a clock behind holds the number up")
        wait_until(lambda: len([one for one in site.phone.messages if one.to == f"+86{mobile}"]) == 2)
        assert all("1 minute." in one.text for one in site.phone.messages), (
            "a worker's clock says how long a code lives"
        )
        with psycopg.connect(database, autocommit=True) as rows:
            age = "SELECT extract(epoch FROM now() - created_at) FROM tasks_delivery WHERE mobile = %s"
            wait_until(lambda: rows.execute(age, [f"+86{other}"]).fetchone()[0] > 10.5, 20)  # type: ignore[index]
        answer = late.enter(stale)
        assert (answer.status_code, answer.json()["code"]) == (422, "SMS_CODE_EXPIRED"), "a clock behind renews no code"


# --- What every answer says of itself


def test_every_answer_names_its_type_and_its_letters(site: Stack) -> None:
    """ASVS 5.0, 4.1.1: text and XML with their charset; JSON has but one. Nothing is left to a browser's guess."""
    person = site.person()
    answers = [
        person.http.get(path)
        for path in (
            "/", "/login/", "/state/", "/healthz", "/readyz", "/nowhere", "/static/latchkey.css", "/static/latchkey.js",
            "/static/favicon.svg", "/static/icons.svg", "/static/django_htmx/htmx-2.min.js", "/dev/phone/messages.json",
        )
    ]  # fmt: skip
    answers += [person.ask("1"), person.htmx("/code/", mobile="1"), person.page("/login/", username="1")]
    answers += [
        person.logout(),
        person.http.post("/login/"),
        person.http.get("/login/", headers={"Host": "evil.example"}),
    ]
    for answer in answers:
        kind = answer.headers["Content-Type"]
        text = kind.startswith("text/") or "xml" in kind
        assert not text or re.search(r'; charset="?utf-8"?$', kind), (answer.url, kind)
        assert text or kind == "application/json", (answer.url, kind)
        assert answer.headers["X-Content-Type-Options"] == "nosniff", answer.url
