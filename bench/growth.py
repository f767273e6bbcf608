"""What a request costs when there is much to look through, against the same on empty tables. On both databases."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from bench import databases, sites
from bench.client import Road
from bench.figures import HTMX, Figure, contest
from tests.support.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.figures import Pace

# Deliveries; a quick run has a tenth. Of users and sessions there are a tenth of that.
MANY = 1_000_000
# The rounds of a run that is not a quick one.
THOROUGH = 5
CONNECTIONS = 8

# What the two databases say differently. Times are spread over 80 days and end some minutes ago.
SQLITE = {
    "series": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {many})",
    "from": "FROM n",
    "random": "lower(hex(randomblob(16)))",
    "digits": "printf('%08d', i % 300000)",
    "then": "strftime('%Y-%m-%d %H:%M:%f', 'now', '-' || (600 + i * 6912000.0 / {many}) || ' seconds')",
    "later": "strftime('%Y-%m-%d %H:%M:%f', 'now', '+1 day')",
    "no": "0",
    "yes": "1",
}
POSTGRESQL = {
    "series": "",
    "from": "FROM generate_series(1, {many}) AS n(i)",
    "random": "md5(random()::text || i)",
    "digits": "lpad((i % 300000)::text, 8, '0')",
    "then": "now() - (600 + i * 6912000.0 / {many}) * interval '1 second'",
    "later": "now() + interval '1 day'",
    "no": "false",
    "yes": "true",
}
FILL = (
    """INSERT INTO tasks_delivery (id, mobile, purpose, browser, address, language, state, attempts, reason,
       lease_token, created_at, due_at, rung_at, resend_at)
       {series} SELECT {random}, '+86139' || {digits}, 'login', {random}, {random}, 'en', 'sent', 1, '',
       '', {then}, {then}, {then}, {then} {from}""",
    """INSERT INTO tasks_attempt (id, delivery_id, n, gateway, outcome, provider_id, provider_code, detail, started_at,
       ended_at) SELECT {random}, id, 1, 'phone', 'accepted', {random}, '', '', created_at, created_at
       FROM (SELECT id, created_at, 1 AS i FROM tasks_delivery) AS made""",
    """INSERT INTO accounts_user (password, is_superuser, username, first_name, last_name, email, is_staff, is_active,
       date_joined, mobile)
       {series} SELECT '!', {no}, 'u' || i, '', '', '', {no}, {yes}, {then}, '+86139' || {digits} {from}""",
    """INSERT INTO django_session (session_key, session_data, expire_date)
       {series} SELECT {random}, {random}, {later} {from}""",
)


def fill(stack: Stack, many: int) -> None:
    """Write as if the site had been asked for so many codes."""
    words = POSTGRESQL if "DATABASE_URL" in stack.settings else SQLITE
    for statement, share in zip(FILL, (1, 1, 10, 10), strict=True):
        parts = {name: part.replace("{many}", str(many // share)) for name, part in words.items()}
        databases.rows(stack, statement.format(**parts))
    if "DATABASE_URL" in stack.settings:
        # As autovacuum does in the first minute.
        databases.rows(stack, "ANALYZE")


class Grown(sites.Site):
    """Latchkey's web part by itself: the worker is not what is asked here."""

    def __init__(self, name: str, stack: Stack) -> None:
        """Take a stack that runs."""
        self.stack = stack
        super().__init__(name, stack.folder, stack.url, [], stack.settings["QUEUE_NAME"], stack.redis)

    def forget(self) -> None:
        """End what waits."""
        databases.rows(self.stack, "UPDATE tasks_delivery SET state = 'expired' WHERE state = 'queued'")

    def is_idle(self) -> bool:
        """Say so: what a last request has enqueued waits for nobody."""
        return True


class Growth:
    """Full tables against empty ones."""

    def __init__(self, running: sites.Sites, pace: Pace) -> None:
        """Take where files go and how long to measure. The sites of this group are its own."""
        self.sites, self.pace = running, pace
        self.many = MANY if pace.rounds >= THOROUGH else MANY // 10

    def measures(self) -> Sequence[Callable[[], list[Figure]]]:
        """Return everything, in order."""
        return (self.on_sqlite, self.on_postgresql) if databases.has_postgresql() else (self.on_sqlite,)

    def on_sqlite(self) -> list[Figure]:
        """POST /code/ on full tables against empty ones, SQLite."""
        with self._site("empty", {}) as empty, self._site("full", {}) as full:
            return self._against("SQLite", empty, full)

    def on_postgresql(self) -> list[Figure]:
        """POST /code/ on full tables against empty ones, PostgreSQL."""
        with (
            databases.postgresql() as one,
            databases.postgresql() as other,
            self._site("empty-postgresql", one) as empty,
            self._site("full-postgresql", other) as full,
        ):
            return self._against("PostgreSQL", empty, full)

    def _against(self, database: str, empty: Grown, full: Grown) -> list[Figure]:
        fill(full.stack, self.many)
        roads = {
            site.name: Road(site, "/code/", 202, "mobile=138%08d", "/login/", HTMX, enqueues=True)
            for site in (empty, full)
        }
        for site in (empty, full):
            # The first one has the limits counted from the rows, as after a restart of Redis.
            site.stack.person().ask("13700000000").raise_for_status()
        found = contest(roads, self.pace, resting=True, connections=CONNECTIONS)
        pairs = list(zip(found[empty.name], found[full.name], strict=True))
        return [
            Figure(
                f"cost of an accepted POST /code/ with {self.many:,} deliveries, {database}, against none",
                1.1,
                "at most",
                [without.per_second / with_.per_second for without, with_ in pairs],
                details={
                    "empty, /s": [each.per_second for each, _ in pairs],
                    "full, /s": [e.per_second for _, e in pairs],
                },
            )
        ]

    @contextlib.contextmanager
    def _site(self, name: str, database: dict[str, str]) -> Iterator[Grown]:
        settings: dict[str, Any] = {
            "DJANGO_SETTINGS_MODULE": "bench.latchkey",
            **sites.LIMITS,
            **sites.AS_IN_THE_WORLD,
            **database,
        }
        with Stack(self.sites.folder(name), workers=0, **settings) as stack:
            yield Grown(name, stack)
