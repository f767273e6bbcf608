"""Errors that say that Redis or the database cannot do its work now: which they are, and what a log line calls them."""

from __future__ import annotations

import re

from django.db import Error as DatabaseError
from redis import ResponseError

from project import database, redis

# An error's code as Redis writes it at the beginning of its answer: MISCONF, NOREPLICAS, BUSY.
CODE = re.compile(r"-?([A-Z]{2,16})\b")
# How redis-py introduces the answer to one command of a transaction. Before it stands the command, with its keys.
ANSWER = " caused error: "
# What a server says without a code of its own when a script does what its user may not.
DENIED_IN_SCRIPT = "ACL failure in script"
# Codes with which a server says that it is a part of a Redis Cluster.
CLUSTER = frozenset({"CROSSSLOT", "MOVED", "ASK", "CLUSTERDOWN", "TRYAGAIN"})
# SQLSTATE of PostgreSQL's disk_full, and SQLite's SQLITE_FULL ("database or disk is full").
DISK_FULL = frozenset({"53100", "SQLITE_FULL"})


def is_outage(error: BaseException) -> bool:
    """Tell whether an error says that a part of the site cannot do its work. The visitor is then asked to try again."""
    return isinstance(error, redis.Unavailable) or database.is_away(error)


def name(error: BaseException) -> str:
    """Return what a log line calls an error, such as `redis MISCONF` or `database OperationalError SQLITE_FULL`.

    Never the whole text of an error: it may contain keys and values.
    """
    if isinstance(error, redis.Unavailable):
        return f"redis {redis_code(error) or type(error).__name__}"
    if isinstance(error, DatabaseError):
        return " ".join(filter(None, ("database", type(error).__name__, _detail(error))))
    return type(error).__name__


def redis_code(error: redis.Unavailable) -> str:
    """Return the code of Redis's answer, empty if it has none or if no answer came."""
    text = str(error).rpartition(ANSWER)[2]
    if DENIED_IN_SCRIPT in text:
        return "NOPERM"
    if error.status_code not in {None, "ERR"}:
        return str(error.status_code)
    # redis-py leaves the codes that it does not know in the text.
    code = CODE.match(text) if isinstance(error, ResponseError) and error.status_code is None else None
    return code[1] if code else ""


def is_disk_full(error: BaseException) -> bool:
    """Tell whether Redis or the database says that it cannot write to its disk."""
    if isinstance(error, redis.Unavailable):
        return redis_code(error) == "MISCONF"
    cause = error.__cause__
    return any(getattr(cause, code, None) in DISK_FULL for code in ("sqlstate", "sqlite_errorname"))


def is_cluster(error: BaseException) -> bool:
    """Tell whether Redis says that it is a part of a cluster, which cannot run our transactions."""
    return isinstance(error, redis.Unavailable) and redis_code(error) in CLUSTER


def _detail(error: DatabaseError) -> str:
    """Return the driver's own name of a database error, such as SQLITE_FULL or DiskFull."""
    cause = error.__cause__
    if getattr(cause, "sqlstate", None):
        return type(cause).__name__
    return getattr(cause, "sqlite_errorname", "")
