"""Queries that Django builds once. Building one costs it ten times what the database needs to answer it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from django.db import connection
from django.db.models import Model, QuerySet
from django.db.models.constants import OnConflict
from django.db.models.sql import InsertQuery, UpdateQuery

M = TypeVar("M", bound=Model)


class Slot(str):
    """Stands for a text that is known only when the query runs. Every field of text lets it pass as it is."""

    __slots__ = ()


def filled(params: tuple[Any, ...], texts: dict[str, str]) -> list[Any]:
    """Return a statement's parameters, with the texts of this time in their slots."""
    return [texts[param] if type(param) is Slot else param for param in params]


def _sorted(values: dict[str, Any]) -> tuple[dict[str, str], dict[str, Any], Hashable]:
    """Return a statement's texts, its other values, and what stands for the statement that is built for those."""
    texts = {name: value for name, value in values.items() if isinstance(value, str)}
    fixed = {name: value for name, value in values.items() if name not in texts}
    return texts, fixed, (connection.vendor, *texts, *fixed.items())


@dataclass(frozen=True, slots=True)
class _Built:
    """A query as the database gets it, and how its answer becomes a row."""

    model: type[Model]
    sql: str
    params: tuple[Any, ...]
    names: list[str]
    # What the query adds to the model's own columns, which stand before these.
    more: list[str]
    # By column: the functions that make a Python value of what this database returns.
    converters: list[tuple[int, list[Callable[..., Any]], Any]]


class Prepared(Generic[M]):
    """A query for rows of one model, written as any other, and built at its first use.

        LATEST = Prepared(lambda browser: Delivery.objects.filter(browser=browser).order_by("-created_at"))
        LATEST.first(browser="...")

    Arguments that are texts may be different each time. With each different value of another kind (a timedelta, a
    number) the query is built anew and kept, so these must be few: settings and not what a visitor sends.
    """

    def __init__(self, build: Callable[..., QuerySet[M]]) -> None:
        """Take the function that returns the query."""
        self.build = build
        self.takes = set(inspect.signature(build).parameters)
        self._built: dict[Hashable, _Built] = {}

    def first(self, **values: Any) -> M | None:
        """Return the first row, with its annotations, or None. Raises django.db.Error."""
        texts, fixed, key = _sorted(values)
        built = self._built.get(key)
        if built is None:
            if set(values) != self.takes:
                raise TypeError(f"takes {sorted(self.takes)}, not {sorted(values)}")
            built = self._built[key] = _build(self.build(**{name: Slot(name) for name in texts}, **fixed))
        with connection.cursor() as cursor:
            cursor.execute(built.sql, filled(built.params, texts))
            row = cursor.fetchone()
        return None if row is None else self._made(built, list(row))

    def exists(self, **values: Any) -> bool:
        """Tell whether there is such a row. Raises django.db.Error."""
        return self.first(**values) is not None

    def _made(self, built: _Built, row: list[Any]) -> M:
        for at, converters, expression in built.converters:
            for convert in converters:
                row[at] = convert(row[at], expression, connection)
        own = len(built.names)
        made = cast("M", built.model.from_db(connection.alias, built.names, row[:own]))
        for name, value in zip(built.more, row[own:], strict=True):
            setattr(made, name, value)
        return made


def _build(query: QuerySet[Any]) -> _Built:
    """Have Django build the first row of a query. The parts of its compiler used here are those that QuerySet uses."""
    compiler = query[:1].query.get_compiler(connection=connection)
    sql, params = compiler.as_sql()
    columns = [column for column, _, _ in compiler.select]
    more = list(compiler.annotation_col_map or {})
    return _Built(
        query.model,
        sql,
        tuple(params),
        [column.target.attname for column in columns[: len(columns) - len(more)]],
        more,
        [(at, converters, column) for at, (converters, column) in compiler.get_converters(columns).items()],
    )


class _Write:
    """A statement that writes, and is built at its first use. What its arguments may be is what those of a Prepared
    may be.
    """

    def __init__(self, build: Callable[..., Any]) -> None:
        """Take the function that returns what is to be written."""
        self.build = build
        self._built: dict[Hashable, tuple[str, tuple[Any, ...]]] = {}

    def run(self, **values: Any) -> int:
        """Write, and return how many rows there were. Raises django.db.Error."""
        texts, fixed, key = _sorted(values)
        built = self._built.get(key)
        if built is None:
            built = self._built[key] = self._compiled(self.build(**{name: Slot(name) for name in texts}, **fixed))
        with connection.cursor() as cursor:
            cursor.execute(built[0], filled(built[1], texts))
            return int(cursor.rowcount)

    def _compiled(self, what: Any) -> tuple[str, tuple[Any, ...]]:
        raise NotImplementedError


class PreparedUpdate(_Write):
    """An UPDATE, written as a query and what to change.

    CLOSE = PreparedUpdate(lambda token: (Attempt.objects.filter(pk=token), {"ended_at": Now()}))
    CLOSE.run(token="...")
    """

    def _compiled(self, what: tuple[QuerySet[Any], dict[str, Any]]) -> tuple[str, tuple[Any, ...]]:
        rows, changes = what
        # As QuerySet.update does.
        query: Any = rows.query.chain(UpdateQuery)
        query.add_update_values(changes)
        sql, params = query.get_compiler(connection=connection).as_sql()
        return sql, tuple(params)


class PreparedInsert(_Write):
    """An INSERT of one row whose given columns are known only when it runs; the others have what the model says.

    BEGIN = PreparedInsert(lambda token, n: Attempt(id=token, n=n))
    BEGIN.run(token="...", n=1)
    """

    def __init__(self, build: Callable[..., Model], *, or_ignore: bool = False) -> None:
        """Take the function that returns the row; `or_ignore` leaves one that is there as it is, and says nothing."""
        super().__init__(build)
        self.on_conflict = OnConflict.IGNORE if or_ignore else None

    def _compiled(self, what: Model) -> tuple[str, tuple[Any, ...]]:
        # As QuerySet._insert does.
        query = InsertQuery(type(what), on_conflict=self.on_conflict)
        query.insert_values(what._meta.local_concrete_fields, [what])
        ((sql, params),) = query.get_compiler(connection=connection).as_sql()
        return sql, tuple(params)
