"""What a database error means, decided in one place: the database is away, or our own statement is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import DataError, Error, IntegrityError, NotSupportedError, ProgrammingError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.dispatch import receiver

# Faults of the statement. Every other error says that the database cannot do its work now: it is gone, full, locked,
# damaged (a plain DatabaseError in SQLite), or read-only (an InternalError in PostgreSQL, SQLSTATE 25006).
FAULTS = (DataError, IntegrityError, NotSupportedError, ProgrammingError)
# PostgreSQL: read_only_sql_transaction.
READ_ONLY = "25006"


def is_away(error: BaseException) -> bool:
    """Tell whether an error is the database's and no fault of ours. The visitor is then asked to try again."""
    return isinstance(error, Error) and not isinstance(error, FAULTS)


def _close_when_read_only(
    execute: Callable[..., Any],
    sql: str,
    params: Any,
    many: bool,
    context: dict[str, Any],
) -> Any:
    """Run a statement. A connection that cannot write is closed when the request or the task ends.

    Django keeps it: it still answers a SELECT. After a failover it would lead to the old server for ten minutes.
    """
    try:
        return execute(sql, params, many, context)
    except Error as error:
        if getattr(error.__cause__, "sqlstate", None) == READ_ONLY:
            # In the past, so that close_old_connections closes it.
            context["connection"].close_at = 0
        raise


@receiver(connection_created)
def _prepare(connection: BaseDatabaseWrapper, **_more: Any) -> None:
    """Watch the statements of a new connection."""
    if connection.vendor == "postgresql" and _close_when_read_only not in connection.execute_wrappers:
        connection.execute_wrappers.append(_close_when_read_only)
