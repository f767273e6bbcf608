"""What a database error means, decided in one place: the database is away, or our own statement is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.db import DataError, Error, IntegrityError, NotSupportedError, ProgrammingError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.dispatch import receiver

# Faults of the statement. Every other error says that the database cannot do its work now: it is gone, full, locked,
# damaged (a plain DatabaseError in SQLite), or read-only (an InternalError in PostgreSQL, SQLSTATE 25006).
FAULTS = (DataError, IntegrityError, NotSupportedError, ProgrammingError)
# PostgreSQL: read_only_sql_transaction, and insufficient_privilege, which Django calls a ProgrammingError.
READ_ONLY = "25006"
NO_RIGHTS = "42501"


def is_away(error: BaseException) -> bool:
    """Tell whether an error is the database's and no fault of ours. The visitor is then asked to try again."""
    if getattr(error.__cause__, "sqlstate", None) == NO_RIGHTS:
        return isinstance(error, Error)
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
    """Watch the statements of a new connection, and bound how long one waits for its answer.

    The server ends a statement by itself, but only one that is there can: a server behind a silent proxy takes what is
    sent, so that neither TCP nor keepalives find it missing.
    """
    if connection.vendor != "postgresql":
        return
    if _close_when_read_only not in connection.execute_wrappers:
        connection.execute_wrappers.append(_close_when_read_only)
    if settings.DATABASE_SILENCE:
        own = connection.connection
        own.wait = partial(_wait, own, own.wait)


def _wait(connection: Any, wait: Callable[..., Any], *args: Any, **more: Any) -> Any:
    """Wait for PostgreSQL's answer, and give the connection up when it does not come in time."""
    began = time.monotonic()
    try:
        return wait(*args, **{"timeout": settings.DATABASE_SILENCE, **more})
    except Exception:
        if time.monotonic() - began >= settings.DATABASE_SILENCE:
            # Its answer may still come, and would be taken for that of the next statement.
            connection.close()
        raise
