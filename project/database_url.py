"""DATABASE_URL as Django wants it, with the time-outs that keep a dead or slow database from holding visitors up."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import dj_database_url

SQLITE = {
    # WAL: readers never wait for the writer. FULL: an accepted request survives a power cut.
    # Carrying the log over into the file takes a tenth of a second, and SQLite has whoever commits do it: the sweeper
    # does it first. A request does it only when there is no sweeper, after 64 MB.
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=16000",
    # A writer waits for its turn at the start; an upgrade in mid-transaction would fail at once.
    "transaction_mode": "IMMEDIATE",
    "timeout": 5,
}
POSTGRESQL = {
    "connect_timeout": 2,
    # A server that is gone without a word is noticed by what it does not acknowledge (in ms) or by keepalives.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 5000,
}
# The server ends a statement after five seconds, and we wait a second longer for its answer.
STATEMENT_TIMEOUT = "-c statement_timeout=5000"
ANSWER_TIMEOUT_SECONDS = 6


def parse(url: str) -> dict[str, Any]:
    """Return the entry for DATABASES. What the URL says about the connection wins over our time-outs."""
    database: dict[str, Any] = {**dj_database_url.parse(url, conn_max_age=600, conn_health_checks=True)}
    if database["ENGINE"] == "django.db.backends.sqlite3":
        return database | {"OPTIONS": SQLITE}
    options = {**POSTGRESQL, **database.get("OPTIONS", {})}
    own = _options(url)
    if own is None:
        options["options"] = STATEMENT_TIMEOUT
    elif own:
        options["options"] = own if "statement_timeout" in own else f"{STATEMENT_TIMEOUT} {own}"
    else:
        # PgBouncer refuses this start-up parameter: `options=` leaves it out.
        options.pop("options", None)
    return database | {"OPTIONS": options}


def answer_timeout(url: str) -> int:
    """Return the seconds that we wait for an answer of PostgreSQL; 0: no limit, because the operator has set one."""
    if url.startswith("sqlite") or "statement_timeout" in (_options(url) or ""):
        return 0
    return ANSWER_TIMEOUT_SECONDS


def _options(url: str) -> str | None:
    """Return the operator's own value of PostgreSQL's parameter `options`, None if there is none."""
    return parse_qs(urlsplit(url).query, keep_blank_values=True).get("options", [None])[-1]
