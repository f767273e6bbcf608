"""One run from beginning to end: a site, a crowd, a monkey; then the healing, and the record of it all."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from tasks.delivery import LEASE
from tests.tools.chaos.checker import FINAL
from tests.tools.chaos.crowd import Crowd
from tests.tools.chaos.faults import Monkey
from tests.tools.chaos.postman import Postman
from tests.tools.chaos.providers import arrived, heard
from tests.tools.chaos.record import Record, Tab
from tests.tools.chaos.site import Site

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tools.chaos.crowd import OpenTab
    from tests.tools.chaos.plans import Plan
    from tests.tools.chaos.record import Row

# Seconds between two looks at every open page and the table.
LOOK = 0.25
# Seconds that a sweeper's round, a queue and a busy machine may add to what the settings say.
SLACK = 8.0
# Seconds that must have gone by after the healing before anybody may call it a day.
QUIET = 2.0
# Cookies that nothing trusts: the words in them stand everywhere.
NO_SECRETS = {"wait", "way"}
# The site's SMS_MAX_TRIES, by default.
MAX_TRIES = 5


def run(plan: Plan, folder: Path) -> tuple[Record, list[str]]:
    """Make one run and return its record, and complaints about what no record shows. Leaves no process behind."""
    record = Record(
        seed=plan.seed,
        cooldown=plan.cooldown,
        # The last attempt may begin as late as a message may leave; its worker may die, and its lease must run out.
        patience=plan.ttl * 0.9 + LEASE.total_seconds() + SLACK,
        idempotent=frozenset({"yuntongxun"} & set(plan.gateways)),
    )
    with Site(folder, plan) as site:
        crowd, monkey, postman = Crowd(site, record), Monkey(site, record), Postman(site, record)
        try:
            postman.start()
            crowd.come()
            began = time.monotonic()
            while time.monotonic() - began < plan.most:
                monkey.step()
                enough = len(record.accepted) >= plan.messages
                if enough and time.monotonic() - began > plan.least:
                    break
                time.sleep(0.05)
            crowd.stop_asking()
            monkey.heal()
            for provider in site.providers:
                provider.be_good()
            for port in site.stack.ports:
                site.stack.wait_for_web(port)
            record.healed_at = time.time()
            Watch(site, crowd, postman, record).until_over()
        finally:
            postman.stop()
            crowd.leave()
        for provider in site.providers:
            record.arrived += arrived(provider)
            record.heard += heard(provider)
            record.modes.update(request.mode for request in provider.requests)
        record.tries = site.tries()
        for tap in site.taps:
            tap.flush()
        cookies = [dict(visitor.person.http.cookies) for visitor in crowd.visitors]
        # The name of the gate that a page waits for is no secret, and stands in Redis.
        tokens = [value for jar in cookies for name, value in jar.items() if name not in NO_SECRETS]
        record.leaks = site.leaks(
            (row.mobile for row in record.rows),
            (message.code for message in record.arrived),
            [*tokens, site.receipt_secret, *site.credentials],
        )
        return record, monkey.complaints


class Watch:
    """Looks at every open page and at the table, until all is over."""

    def __init__(self, site: Site, crowd: Crowd, postman: Postman, record: Record) -> None:
        """Begin to look."""
        self.site, self.crowd, self.postman, self.record = site, crowd, postman, record
        self._ended: dict[str, float] = {}
        # By page: since when it differs, and for how long it once did.
        self._since: dict[str, float] = {}
        self._worst: dict[str, Tab] = {}

    def until_over(self) -> None:
        """Look until every row is final and every page equal, or until both are overdue; write it all down."""
        begin = time.time()
        deadline = begin + self.record.patience + SLACK
        while True:
            rows = self.site.rows()
            now = time.time()
            for row in rows:
                if row.state in FINAL:
                    self._ended.setdefault(row.id, now)
                else:
                    self._ended.pop(row.id, None)
            equal = [self._compare(tab, rows, now) for tab in self.crowd.tabs]
            over = (
                all(row.id in self._ended for row in rows)
                and all(equal)
                and self.crowd.is_silent()
                and self.postman.is_done()
            )
            if (over and now > begin + QUIET) or now > deadline:
                break
            time.sleep(LOOK)
        self.record.ended_at = time.time()
        self.record.rows = [replace(row, ended_at=self._ended.get(row.id)) for row in rows]
        self.record.tabs = list(self._worst.values())

    def _compare(self, tab: OpenTab, rows: list[Row], now: float) -> bool:
        table = self._table(tab, rows, now)
        shown = tab.shown or ("nothing yet", 0)
        since = self._since.setdefault(tab.name, now)
        if shown == table:
            del self._since[tab.name]
        behind = now - since
        worst = self._worst.get(tab.name)
        if worst is None or behind > worst.behind:
            self._worst[tab.name] = Tab(tab.name, behind, shown, table)
        return shown == table

    def _table(self, tab: OpenTab, rows: list[Row], now: float) -> tuple[str, int]:
        """Return what the page of this browser must show now."""
        browser = self.site.browser(tab.visitor.person.http.cookies.get("sessionid"))
        mine = [row for row in rows if row.browser == browser]
        if not mine:
            return "", 0
        newest = max(mine, key=lambda row: row.created_at)
        # A code that was sent, and is too old or was guessed at too often, works no more, and the page says so.
        is_sent = newest.state in {"sent", "delivered", "unknown"}
        is_dead = now - newest.created_at >= self.site.plan.ttl or newest.guesses >= MAX_TRIES
        state = "expired" if is_sent and is_dead else newest.state
        return "" if newest.used else state, newest.attempts + (newest.state == "retrying")
