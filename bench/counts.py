"""What one accepted request asks of Redis and of the database: counted, not timed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.stack import ROOT

if TYPE_CHECKING:
    from bench.sites import Latchkey

# The word that ends the listening.
LAST = "bench: that was all"
# Enough that every thread of the server has its connections.
WARM = 20
TRANSACTION = ("BEGIN", "COMMIT")
SESSION = re.compile(r'FROM "?django_session\b')


def of_redis(site: Latchkey) -> list[str]:
    """Return what one accepted request asks of Redis, as its MONITOR hears it: an entry for each round trip.

    A transaction is sent and answered at once, so it is one entry: `MULTI EVAL EVAL EXEC`. What a script does inside of
    Redis is not among them. The worker stands still meanwhile.
    """
    person = site.stack.person()
    for n in range(WARM):
        person.htmx("/code/", mobile=f"137{n:08}").raise_for_status()
    heard: list[tuple[str, str]] = []
    with site.resting(), site.redis.monitor() as monitor:  # type: ignore[no-untyped-call]
        person.htmx("/code/", mobile=f"137{WARM:08}").raise_for_status()
        site.redis.echo(LAST)
        for said in monitor.listen():
            # The peers have databases of their own.
            if said["client_type"] != "lua" and said["db"] == 0:
                heard.append((said["client_port"], said["command"]))
            if LAST in said["command"]:
                break
    ours, _ = heard[-1]
    trips: list[str] = []
    for name in (command.split(" ", 1)[0] for port, command in heard if port != ours):
        if trips and trips[-1].startswith("MULTI") and not trips[-1].endswith("EXEC"):
            trips[-1] += f" {name}"
        else:
            trips.append(name)
    return trips


def of_database(site: Latchkey) -> list[str]:
    """Return the SQL of one accepted request, in order, without the session's read and without BEGIN and COMMIT.

    It is asked for in a process of its own, by Django's test client and through all of the middleware, because a
    server does not tell what it asks.
    """
    done = subprocess.run(
        [sys.executable, "-m", "bench.statements"],
        cwd=ROOT, env=site.stack.environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    statements: list[str] = json.loads(done.stdout)
    reads = [sql for sql in statements if SESSION.search(sql)]
    if len(reads) > 1:
        raise AssertionError(f"a visitor's session is read {len(reads)} times: {reads}")
    return [sql for sql in statements if not SESSION.search(sql) and not sql.startswith(TRANSACTION)]
