"""Statements written as SQL do what the ORM does, on SQLite and on PostgreSQL."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dj_database_url
import psycopg
import pytest
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.db.models import DateTimeField, ExpressionWrapper, F, Q
from django.db.models.functions import Greatest, Now
from django.db.utils import load_backend

from accounts.models import Guesses, User
from accounts.sessions.store import END, ENDED, ROW, SETTLED
from accounts.throttling import failed_attempts
from project.sql import Statement, utc
from tasks import decoy
from tasks.clock import ago, ahead
from tasks.delivery import accept, claiming, queries, recording
from tasks.delivery.claiming import LEASE
from tasks.delivery.queries import HOUR
from tasks.delivery.transitions import MAX_ATTEMPTS, UNFINISHED, code_life, useful_life
from tasks.models import WAITING, Attempt, Delivery, Report, State, random_id
from tests.support import services

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django.db.models import Model
    from pytest_django.plugin import DjangoDbBlocker

pytestmark = pytest.mark.django_db

COOLDOWN = timedelta(seconds=60)
MOBILE = "+8613800138000"
# Two statements are run one after the other.
A_MOMENT = timedelta(seconds=5)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def vendor(request: pytest.FixtureRequest, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """Run a test on each database. This process's own is SQLite; a PostgreSQL takes its place for a while."""
    with django_db_blocker.unblock():
        if request.param == "sqlite":
            yield request.param
            return
        server, name = services.postgresql(), f"latchkey_test_{secrets.token_hex(6)}"
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(f'CREATE DATABASE "{name}"')
            url = f"{server.rsplit('/', 1)[0]}/{name}"
            settings = connections.configure_settings({"default": {**dj_database_url.parse(url)}})["default"]
            own = connections["default"]
            connections["default"] = load_backend(settings["ENGINE"]).DatabaseWrapper(settings, "default")
            try:
                call_command("migrate", verbosity=0)
                yield request.param
            finally:
                connections["default"].close()
                connections["default"] = own
                admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(autouse=True)
def _on_each(vendor: str, db: None) -> None:
    """What a test writes is undone, on whichever database."""
    assert connection.vendor == vendor


def written(**more: Any) -> Delivery:
    """Write a delivery. Times are given as their age."""
    given = {"mobile": MOBILE, "purpose": "login", "browser": "b" * 32, "address": "a" * 32, "language": "en", **more}
    times = {name: ago(value) for name, value in given.items() if isinstance(value, timedelta)}
    return Delivery.objects.create(**{"resend_at": Now(), **given, **times})


def rows(*models: type[Model]) -> list[dict[str, Any]]:
    """Return every column of every row."""
    return [row for model in models for row in model._default_manager.order_by("pk").values()]


def outcome(call: Callable[[], object], *models: type[Model]) -> tuple[object, list[dict[str, Any]]]:
    """Return what a call returns and leaves behind, then undo it."""
    with transaction.atomic():
        said, left = call(), rows(*models)
        transaction.set_rollback(True)
    return said, left


def same(sql: Callable[[], object], orm: Callable[[], object], *models: type[Model]) -> object:
    """Hold both to the same answer and the same rows, but for the moment in between. Returns the answer."""
    (said, left), (expected, right) = outcome(sql, *models), outcome(orm, *models)
    assert said == expected
    assert len(left) == len(right)
    for one, other in zip(left, right, strict=True):
        for name, value in one.items():
            if isinstance(value, datetime) and isinstance(other[name], datetime):
                assert abs(value - other[name]) < A_MOMENT, (name, value, other[name])
            else:
                assert value == other[name], (name, value, other[name])
    return said


# --- Moments ---


def test_a_moment_is_the_database_s() -> None:
    for text, age in (("{now}", 0), ("{now + by}", 90.5), ("{now - by}", -90.5)):
        found = Statement(f"SELECT {text} AS x, %(by)s AS y").row(by=timedelta(seconds=90.5))
        assert found is not None
        moment = utc(found[0])
        assert moment.tzinfo is not None
        assert abs(moment - datetime.now(UTC) - timedelta(seconds=age)) < A_MOMENT, text


def test_a_moment_is_written_as_django_writes_it() -> None:
    """Texts are compared in SQLite: one more or fewer digits, and a row would not be found."""
    row = written()
    Statement("UPDATE tasks_delivery SET due_at = {now}, sent_at = {now + by} WHERE id = %(id)s").run(
        id=row.pk, by=timedelta(minutes=1)
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT created_at, due_at, sent_at FROM tasks_delivery")
        by_django, now, later = cursor.fetchone()
    assert len(str(by_django)) == len(str(now)) == len(str(later)) or connection.vendor == "postgresql"
    assert Delivery.objects.filter(due_at__lte=Now(), sent_at__gt=ahead(timedelta(seconds=50))).exists()


def test_what_a_parameter_holds_is_never_read_as_sql() -> None:
    row = written()
    for text in ("' OR 1=1 --", "%s", "%(browser)s", "{now}"):
        assert not queries.LATEST.objects(Delivery, browser=text)
        Delivery.objects.filter(pk=row.pk).update(browser=text)
        assert [found.pk for found in queries.LATEST.objects(Delivery, browser=text)] == [row.pk]


# --- Deliveries ---

YOUNG, OLD = timedelta(seconds=1), timedelta(days=1)
# What may stand against another request for the number, or not.
OLDER: list[dict[str, Any]] = [
    {},
    {"mobile": "+8613800138001", "resend_at": -OLD},
    {"purpose": "other"},
    {"purpose": "other", "resend_at": -YOUNG - A_MOMENT * 4},
    {"purpose": "other", "resend_at": -OLD, "created_at": HOUR + A_MOMENT},
    {"created_at": OLD},
    {"superseded_at": YOUNG},
    *({"state": state} for state in State),
    *({"state": state, "resend_at": -OLD} for state in State),
]


@pytest.mark.parametrize("older", OLDER, ids=str)
def test_a_request_is_accepted_under_the_orm_s_conditions(older: dict[str, Any]) -> None:
    """Also when an older row stands in its way: then nothing is written here."""
    written(**older)
    given = {"id": random_id(), "mobile": MOBILE, "purpose": "login", "language": "en", "own": True}
    given |= {"browser": "c" * 32, "address": "d" * 32}

    def by_orm() -> bool:
        against = Q(created_at__gt=ago(HOUR), resend_at__gt=Now()) | Q(
            purpose="login", superseded_at=None, created_at__gt=ago(useful_life()), state__in=UNFINISHED
        )
        if Delivery.objects.filter(against, mobile=MOBILE).exists():
            return False
        Delivery.objects.create(**given, resend_at=ahead(COOLDOWN))
        return True

    def by_sql() -> bool:
        found = accept.ACCEPT.objects(Delivery, **given, cooldown=COOLDOWN, hour=HOUR, life=useful_life())
        for row in found:
            for field, value in Delivery.objects.filter(pk=row.pk).values().get().items():
                assert getattr(row, field) == value, field
        return bool(found)

    same(by_sql, by_orm, Delivery)


@pytest.mark.parametrize(
    "row",
    [
        {},
        *({"state": state} for state in State),
        *({"attempts": n} for n in (1, MAX_ATTEMPTS)),
        {"superseded_at": YOUNG},
        {"due_at": -YOUNG - A_MOMENT * 4},
        {"due_at": YOUNG, "state": State.RETRYING},
        {"created_at": OLD},
    ],
    ids=str,
)
@pytest.mark.parametrize("attempts", [0, 1, MAX_ATTEMPTS])
def test_a_delivery_is_claimed_under_the_orm_s_conditions(row: dict[str, Any], attempts: int) -> None:
    """One attempt at a time, while it is worth it, and by whoever knows what came of the last."""
    pk, token, other = written(**row).pk, random_id(), written(mobile="+8613800138001")
    claimable = Delivery.objects.filter(
        pk=pk, state__in=WAITING, attempts=attempts, attempts__lt=MAX_ATTEMPTS, superseded_at=None, due_at__lte=Now(),
        created_at__gt=ago(useful_life()),
    )  # fmt: skip
    change = {"state": State.SENDING, "attempts": attempts + 1, "gateway": "phone", "decoy": True}
    same(
        lambda: claiming.CLAIM.run(
            id=pk, attempts=attempts, max_attempts=MAX_ATTEMPTS, gateway="phone", decoy=True, token=token,
            lease=LEASE, life=useful_life(),
        ),
        lambda: claimable.update(**change, lease_token=token, lease_until=ahead(LEASE)),
        Delivery,
    )  # fmt: skip
    assert claiming.ROW.objects(Delivery, id=other.pk) == [other]
    assert claiming.ROW.objects(Delivery, id=random_id()) == []


def test_an_attempt_is_begun_and_ended_as_by_the_orm() -> None:
    row, token = written(), random_id()
    begun = {"delivery_id": row.pk, "n": 2, "gateway": "phone"}
    same(
        lambda: claiming.BEGIN.run(token=token, **begun),
        lambda: bool(Attempt.objects.create(id=token, **begun)),
        Attempt,
    )
    claiming.BEGIN.run(token=token, **begun)
    claiming.BEGIN.run(token=random_id(), **{**begun, "n": 3})
    words = {"outcome": "accepted", "provider_id": "id%s", "provider_code": "0", "detail": "it's"}
    same(
        lambda: recording.CLOSE.run(token=token, **words),
        lambda: Attempt.objects.filter(pk=token).update(**words, ended_at=Now()),
        Attempt,
    )


@pytest.mark.parametrize("held", ["mine", "another's"])
@pytest.mark.parametrize("state", State)
def test_a_send_is_recorded_under_the_orm_s_conditions(state: State, held: str) -> None:
    pk = written(state=state, lease_token="t" * 32 if held == "mine" else "u" * 32).pk
    mine = Delivery.objects.filter(pk=pk, state=State.SENDING, lease_token="t" * 32)
    moved = same(
        lambda: recording.SENT.run(id=pk, token="t" * 32, reason="number"),
        lambda: mine.update(state=State.SENT, reason="number", sent_at=Now()),
        Delivery,
    )
    assert moved == (state == State.SENDING and held == "mine")


def test_the_reports_of_an_attempt_are_found() -> None:
    for gateway, provider_id, delivered in (("a", "1", True), ("a", "1", False), ("a", "2", True), ("b", "1", True)):
        Report.objects.create(gateway=gateway, provider_id=provider_id, delivered=delivered)
    found = recording.REPORTS.objects(Report, gateway="a", provider_id="1")
    assert sorted(report.delivered for report in found) == [False, True]
    assert {*found} == {*Report.objects.filter(gateway="a", provider_id="1")}


@pytest.mark.parametrize(
    "row",
    [{}, {"guesses": 4}, {"guesses": 5}, {"used_at": YOUNG}, {"withdrawn_at": YOUNG}, {"created_at": OLD}],
    ids=str,
)
def test_a_guess_is_counted_under_the_orm_s_conditions(row: dict[str, Any]) -> None:
    pk = written(**row).pk
    written(mobile="+8613800138001")

    def by_orm() -> int | None:
        open_ = Delivery.objects.filter(pk=pk, used_at=None, withdrawn_at=None, guesses__lt=5)
        if not open_.filter(created_at__gt=ago(code_life())).update(guesses=F("guesses") + 1):
            return None
        return Delivery.objects.get(pk=pk).guesses

    def by_sql() -> int | None:
        counted = queries.GUESS.row(id=pk, most=5, life=code_life())
        return counted[0] if counted else None

    same(by_sql, by_orm, Delivery)


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"used_at": timedelta(seconds=1)},
        {"used_at": timedelta(seconds=10), "guesses": 4},
        {"used_at": timedelta(seconds=10), "guesses": 5},
        {"used_at": timedelta(seconds=10), "withdrawn_at": YOUNG},
        {"used_at": timedelta(seconds=10), "created_at": code_life() + A_MOMENT},
        {"used_at": timedelta(seconds=40)},
    ],
)
def test_a_guess_at_a_used_code_is_counted_under_the_orm_s_conditions(row: dict[str, Any]) -> None:
    delivery = written(**row)
    least, longest = timedelta(seconds=2), timedelta(seconds=30)

    def by_orm() -> int | None:
        used = Delivery.objects.filter(pk=delivery.pk, used_at__lt=ago(least), used_at__gt=ago(longest))
        used = used.filter(withdrawn_at=None, guesses__lt=5, created_at__gt=ago(code_life()))
        return Delivery.objects.get(pk=delivery.pk).guesses if used.update(guesses=F("guesses") + 1) else None

    same(lambda: queries.count_repeat(delivery, least, longest, most=5), by_orm, Delivery)


def test_a_visitor_s_session_that_ended_is_recorded_once() -> None:
    day, moment = timedelta(days=1), timedelta(seconds=2)
    for key, life in (("a" * 40, day), ("a" * 40, 2 * day), ("b" * 40, day - 2 * moment)):
        END.run(key=key, ended=ENDED, life=life)
    for key, settled in (("a" * 40, False), ("b" * 40, True), ("c" * 40, False)):
        assert (SETTLED.row(key=key, life_since_settled=day - moment) is not None) is settled
    [row] = Session.objects.filter(session_key="a" * 40)
    assert abs(row.expire_date - datetime.now(UTC) - day) < A_MOMENT


def test_the_newest_of_a_browser_is_the_orm_s_with_the_database_s_time_beside_it() -> None:
    assert queries.latest("b" * 32) is None
    for age in (YOUNG, OLD):
        written(created_at=age)
    written(browser="c" * 32)
    found = queries.latest("b" * 32)
    expected = Delivery.objects.filter(browser="b" * 32).annotate(now=Now()).latest("created_at")
    assert found is not None
    for field in Delivery._meta.concrete_fields:
        assert getattr(found, field.attname) == getattr(expected, field.attname), field.name
    assert abs(found.now - expected.now) < A_MOMENT  # type: ignore[attr-defined]


def test_the_account_of_a_number_is_the_orm_s() -> None:
    for name, mobile, active in (("active", MOBILE, True), ("inactive", "+8613800138001", False)):
        User.objects.create_user(name, mobile=mobile, is_active=active)
    for mobile in (MOBILE, "+8613800138001", "+8613800138002"):
        found = decoy.account_of_number().row(mobile=mobile)
        expected = User.objects.filter(mobile=mobile).values_list("is_active").first()
        assert (found and bool(found[0])) == (expected and expected[0])


# --- Guesses ---


@pytest.mark.parametrize("row", [None, {}, {"open_at": YOUNG}, {"open_at": -OLD}], ids=str)
def test_a_guess_is_counted_in_a_row_unless_a_pause_runs(row: dict[str, timedelta] | None) -> None:
    """The first of a secret makes its row."""
    if row is not None:
        Guesses.objects.create(key="code:x", count=3, **{name: ago(age) for name, age in row.items()})
    Guesses.objects.create(key="code:y", count=7)

    def by_orm() -> int | None:
        made = Guesses.objects.get_or_create(key="code:x", defaults={"secret": "s"})[0]
        counting = Guesses.objects.filter(key="code:x", open_at__lte=Now())
        return made.count + 1 if counting.update(count=F("count") + 1, last_at=Now()) else None

    def by_sql() -> int | None:
        counted = failed_attempts.COUNT.row(key="code:x", secret="s")
        return counted[0] if counted else None

    counted = same(by_sql, by_orm, Guesses)
    assert counted == (1 if row is None else None if row.get("open_at") == -OLD else 4)


@pytest.mark.parametrize("left", [None, -YOUNG, A_MOMENT * 20, A_MOMENT * 30], ids=str)
def test_a_bucket_is_filled_until_it_is_full(left: timedelta | None) -> None:
    """Its moment is when it would be empty: this one, the drips that are in it, or past what it holds."""
    every, room = timedelta(seconds=30), A_MOMENT * 25
    if left is not None:
        Guesses.objects.create(key="address:x", open_at=ahead(left))
    Guesses.objects.create(key="address:y")

    def by_orm() -> int:
        made = Guesses.objects.get_or_create(key="address:x")[0]
        emptied = ExpressionWrapper(Greatest(F("open_at"), Now()) + every, output_field=DateTimeField())
        return Guesses.objects.filter(pk=made.pk, open_at__lte=ahead(room)).update(last_at=Now(), open_at=emptied)

    filled = same(lambda: failed_attempts.DRIP.run(key="address:x", room=room, every=every), by_orm, Guesses)
    assert filled == (left is None or left < room)


def test_the_longest_pause_is_found() -> None:
    for key, ahead_by in (("a", -YOUNG), ("b", OLD), ("c", OLD * 2), ("d", OLD * 3)):
        Guesses.objects.create(key=key, count=3, open_at=ahead(ahead_by))
    for key, pair in (("a", ""), ("a", "b"), ("b", "c"), ("c", "b"), ("x", "")):
        running = Guesses.objects.filter(key__in=[key, pair], open_at__gt=Now()).annotate(now=Now())
        expected = list(running.order_by("-open_at")[:1])
        found: list[Any] = failed_attempts.PAUSED.objects(Guesses, key=key, pair=pair)
        assert found == expected
        assert [row.open_at for row in found] == [row.open_at for row in expected]
        assert all(abs(utc(row.now) - other.now) < A_MOMENT for row, other in zip(found, expected, strict=True))
    for least in (2, 3, 4):
        found_one = failed_attempts.HAS.row(key="a", least=least) is not None
        assert found_one == Guesses.objects.filter(key="a", count__gte=least).exists()


# --- Sessions ---


def test_a_session_is_found_while_it_lives() -> None:
    for key, age in (("lives", -OLD), ("is over", YOUNG)):
        Session.objects.create(session_key=key, session_data=key, expire_date=ago(age))
    for key in ("lives", "is over", "never was"):
        found = ROW.objects(Session, key=key)
        assert found == list(Session.objects.filter(session_key=key, expire_date__gt=Now()))
        assert [row.expire_date for row in found] == [row.expire_date for row in Session.objects.filter(pk__in=found)]
    assert len(ROW.objects(Session, key="lives")) == 1
