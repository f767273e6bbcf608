"""Queries that are built once answer as Django's own do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from accounts.models import Guesses
from project.prepared import Prepared, PreparedInsert, PreparedUpdate
from tasks.delivery import ago
from tasks.models import Attempt, Delivery, random_id

pytestmark = pytest.mark.django_db

NEWEST = Prepared(lambda browser: Delivery.objects.filter(browser=browser).annotate(now=Now()).order_by("-created_at"))
YOUNG = Prepared(lambda browser, age: Delivery.objects.filter(browser=browser, created_at__gt=ago(age)))
RENAME = PreparedUpdate(lambda before, after: (Delivery.objects.filter(browser=before), {"browser": after}))
ONCE = PreparedInsert(lambda key: Guesses(key=key, count=7), or_ignore=True)
BEGIN = PreparedInsert(lambda token, delivery_id, n: Attempt(id=token, delivery_id=delivery_id, n=n, gateway="phone"))


def written(browser: str = "b" * 32, **more: Any) -> Delivery:
    """Write a row."""
    given = {"mobile": "+8613800138000", "purpose": "login", "address": "a" * 32, "language": "en", **more}
    return Delivery.objects.create(browser=browser, resend_at=Now(), **given)


def test_a_row_is_the_same_as_django_s() -> None:
    """Every column, of its own type, and what the query adds to them."""
    row = written()
    row.refresh_from_db()
    for _ in range(2):
        found = NEWEST.first(browser=row.browser)
        assert found is not None
        for field in Delivery._meta.concrete_fields:
            assert getattr(found, field.attname) == getattr(row, field.attname), field.name
        assert abs(found.now - row.created_at) < timedelta(minutes=1)  # type: ignore[attr-defined]
        assert not found._state.adding
    assert len(NEWEST._built) == 1


def test_texts_differ_each_time_and_nothing_of_them_is_kept() -> None:
    one, other = written("1" * 32), written("2" * 32)
    for row in (one, other, one):
        found = NEWEST.first(browser=row.browser)
        assert found is not None
        assert found.pk == row.pk
    assert NEWEST.first(browser="' OR 1=1 --") is None
    assert not NEWEST.exists(browser="%s")


def test_another_value_of_another_kind_is_another_statement() -> None:
    row = written()
    assert YOUNG.exists(browser=row.browser, age=timedelta(hours=1))
    assert not YOUNG.exists(browser=row.browser, age=timedelta(hours=-1))
    assert YOUNG.exists(browser=row.browser, age=timedelta(hours=1))


def test_what_is_missing_or_too_much_is_an_error() -> None:
    for wrong in ({}, {"browsers": "b"}, {"browser": "b", "more": "m"}):
        with pytest.raises(TypeError):
            NEWEST.first(**wrong)


def test_an_update_says_how_many_there_were() -> None:
    row = written("3" * 32)
    assert RENAME.run(before="3" * 32, after="4" * 32) == 1
    assert RENAME.run(before="3" * 32, after="4" * 32) == 0
    row.refresh_from_db()
    assert row.browser == "4" * 32


def test_an_insert_writes_the_defaults_as_well() -> None:
    row = written()
    for n in (1, 2):
        BEGIN.run(token=random_id(), delivery_id=row.pk, n=n)
    assert list(row.tries.order_by("n").values_list("n", "gateway", "outcome", "detail")) == [
        (1, "phone", "", ""),
        (2, "phone", "", ""),
    ]
    assert all(attempt.started_at and attempt.ended_at is None for attempt in row.tries.all())


def test_an_insert_that_may_find_its_row_there_leaves_it_alone() -> None:
    Guesses.objects.create(key="there", count=3)
    for key in ("there", "new", "new"):
        ONCE.run(key=key)
    assert dict(Guesses.objects.values_list("key", "count")) == {"there": 3, "new": 7}
