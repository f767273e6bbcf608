"""Statements written as SQL, where Django would take longer to build one than the database takes to answer.

SQLite and PostgreSQL read the same text. Only moments differ, so they stand in braces, by the database's clock:

    CLAIM = Statement("UPDATE notes_note SET until = {now + lease} WHERE id = %(id)s AND due_at <= {now}")
    CLAIM.run(id="...", lease=timedelta(seconds=15))

A statement stands beside what uses it. A test holds it to what the ORM does, on both databases.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import connection

if TYPE_CHECKING:
    from django.db.models import Model

    M = TypeVar("M", bound="Model")

# {now}, {now - age}, {now + wait}, {max(column, now) + wait}. What is added is a parameter.
MOMENT = re.compile(r"\{(?:now|max\((?P<column>[\w.]+), now\))(?: (?P<sign>[+-]) (?P<param>\w+))?\}")
# SQLite keeps times as text, in UTC and to the millisecond, as Django's Now() writes them.
NOW = {"sqlite": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW')", "postgresql": "STATEMENT_TIMESTAMP()"}
LATER = {"sqlite": "MAX({column}, {now})", "postgresql": "GREATEST({column}, {now})"}
SHIFTED = {
    "sqlite": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', {moment}, ({sign}%({param})s) || ' seconds')",
    "postgresql": "({moment} {sign} %({param})s * INTERVAL '1 second')",
}


class Statement:
    """One statement for both databases. Its parameters are named; a timedelta is passed as seconds."""

    def __init__(self, text: str) -> None:
        """Write the moments out for each database."""
        self.sql = {vendor: MOMENT.sub(partial(_moment, vendor), text) for vendor in NOW}

    def run(self, **params: Any) -> int:
        """Write, and return how many rows were written. Raises django.db.Error."""
        with connection.cursor() as cursor:
            cursor.execute(self.sql[connection.vendor], _adapted(params))
            return int(cursor.rowcount)

    def row(self, **params: Any) -> tuple[Any, ...] | None:
        """Return the first row as the database gives it, None if there is none. Raises django.db.Error."""
        with connection.cursor() as cursor:
            cursor.execute(self.sql[connection.vendor], _adapted(params))
            # All of them: SQLite ends a statement with the last.
            found: list[tuple[Any, ...]] = cursor.fetchall()
        return found[0] if found else None

    def objects(self, model: type[M], **params: Any) -> list[M]:
        """Return the rows as objects of a model, of which all columns were selected. Raises django.db.Error."""
        return list(model._default_manager.raw(self.sql[connection.vendor], _adapted(params)))


def utc(value: datetime | str) -> datetime:
    """Return a moment that a statement gives in no column of a model: SQLite gives text."""
    return datetime.fromisoformat(value).replace(tzinfo=UTC) if isinstance(value, str) else value


def _moment(vendor: str, match: re.Match[str]) -> str:
    moment = LATER[vendor].format(column=match["column"], now=NOW[vendor]) if match["column"] else NOW[vendor]
    return SHIFTED[vendor].format(moment=moment, **match.groupdict()) if match["sign"] else moment


def _adapted(params: dict[str, Any]) -> dict[str, Any]:
    return {name: each.total_seconds() if isinstance(each, timedelta) else each for name, each in params.items()}
