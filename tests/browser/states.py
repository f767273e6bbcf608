"""Every page in every state, one after the other, for whoever wants to look: axe, a ruler, a camera.

    with site(folder) as stack:
        for name, tab in everything(stack, visitor):
            ...  # the page is in that state, and stays in it

States come about as they do for a visitor. Only what takes minutes, or a carrier's mood, is written into the row that
the page reads, while the worker is held.
"""

from __future__ import annotations

import json
import re
import signal
import time
from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect

from tests.browser.window import Tab
from tests.support.numbers import number
from tests.support.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.browser.window import Visitor

PASSWORD = "correct horse battery"
BETTER = "eleven quiet umbrellas"
WRONG = "not the password"
SOMETHING = re.compile(r"\S")
ERRORS = ("400", "403", "403_csrf", "404", "429", "500", "503")
# What a row says, for each thing that a page can say of it.
DELIVERIES: dict[str, dict[str, Any]] = {
    "queued": {"state": "queued", "attempts": 0},
    "sending": {"state": "sending", "attempts": 1},
    "sending-again": {"state": "sending", "attempts": 3},
    "sending-other-route": {"state": "sending", "attempts": 2, "reason": "route", "route": 1},
    "retrying": {"state": "retrying", "attempts": 1},
    "retrying-now": {"state": "retrying", "attempts": 2, "due_at": "-1 seconds"},
    "retrying-other-route": {"state": "retrying", "attempts": 1, "reason": "route", "route": 1},
    "sent": {"state": "sent", "attempts": 1},
    "sent-at-third-attempt": {"state": "sent", "attempts": 3},
    "delivered": {"state": "delivered", "attempts": 1},
    "failed": {"state": "failed", "attempts": 4, "resend_at": "-1 seconds"},
    "failed-number": {"state": "failed", "attempts": 1, "reason": "number", "resend_at": "-1 seconds"},
    "failed-wait": {"state": "failed", "attempts": 1, "reason": "wait", "resend_at": "-1 seconds"},
    "failed-operator": {"state": "failed", "attempts": 1, "reason": "operator", "resend_at": "-1 seconds"},
    "unknown": {"state": "unknown", "attempts": 1},
    "expired": {"state": "expired", "attempts": 2, "resend_at": "-1 seconds"},
    "superseded": {"state": "superseded", "attempts": 1},
}


def site(folder: Path, **settings: Any) -> Stack:
    """Return a site to look at."""
    return Stack(folder, DJANGO_SETTINGS_MODULE="tests.browser.site_settings", **settings)


class Looker:
    """Goes through the site once, as one visitor, and stops in each state."""

    def __init__(self, stack: Stack, visitor: Visitor) -> None:
        """Take a site of `site` and a browser of nobody who is signed in."""
        self.stack, self.visitor, self.tab = stack, visitor, Tab(visitor.context.new_page(), stack.url)
        visitor.expects("status of (4|5)")
        # What it says while its network is away.
        visitor.expects_outage()

    def everything(self) -> Iterator[tuple[str, Tab]]:
        """Show everything, and yield the name of what is to be seen."""
        yield from self.strangers()
        yield from self.errors()
        yield from self.asking()
        yield from self.deliveries()
        yield from self.trouble()
        yield from self.signed_in()
        yield from self.workshop()

    def strangers(self) -> Iterator[tuple[str, Tab]]:
        """Show what somebody sees who has done nothing yet, and what a password goes through."""
        tab = self.tab
        tab.go("/")
        yield "home", tab
        tab.go("/login/")
        yield "login", tab
        tab.by("password")
        tab("#password").fill(WRONG)
        tab("#reveal").click()
        yield "login-password-shown", tab
        tab(".password-way .main.button").click()
        tab.says("#password-message", SOMETHING)
        yield "login-nothing-filled-in", tab
        tab.login(f"nobody-{number()}", WRONG)
        expect(tab("#password-message[data-field='']")).not_to_be_empty()
        yield "login-wrong-password", tab
        if self.stack.settings["DEBUG"] == "1":
            # It has no login of its own.
            tab.go("/admin/")
            tab.page.wait_for_url(f"{self.stack.url}/login/?next=/admin/")
            yield "admin-as-stranger", tab

    def errors(self) -> Iterator[tuple[str, Tab]]:
        """Show every page of an error."""
        for name in ERRORS:
            self.tab.go(f"/error/{name}/", live=False)
            yield f"error-{name}", self.tab

    def asking(self) -> Iterator[tuple[str, Tab]]:
        """Show the way of the code, up to one that is sent."""
        tab = self.tab
        tab.go("/login/")
        tab.by("code")
        yield "code", tab
        tab.ask("12345")
        tab.says("#code-message", SOMETHING)
        yield "code-no-number", tab
        self.mobile = number()
        tab.ask(self.mobile)
        tab.shows("sent", 1)
        yield "code-sent-live", tab

    def deliveries(self) -> Iterator[tuple[str, Tab]]:
        """Show everything that can become of it."""
        tab = self.tab
        self.stack.wait_for_state("sent")
        self.row = self.stack.deliveries()[-1]["id"]
        self.stack.hang(self.stack.workers[0])
        try:
            for name, fields in DELIVERIES.items():
                self.write(**fields)
                tab.go("/login/")
                tab.shows(fields["state"])
                yield f"delivery-{name}", tab
            for name in ("sending", "delivered", "failed"):
                self.write(**DELIVERIES[name])
                tab.go("/")
                tab.shows(DELIVERIES[name]["state"])
                yield f"strip-{name}", tab
            self.write(**DELIVERIES["sent"])
            tab.go("/login/")
            tab.enter(self.wrong_code)
            tab.says("#verify-message", SOMETHING)
            yield "code-wrong", tab
        finally:
            self.stack.workers[0].signal(signal.SIGCONT)

    def trouble(self) -> Iterator[tuple[str, Tab]]:
        """Show a page that nobody answers."""
        page = self.visitor.context.new_page()
        page.route_web_socket("**/ws/", lambda socket: socket.close(code=1011))
        tab = Tab(page, self.stack.url)
        tab.go("/login/", live=False)
        tab.connection("offline")
        yield "offline", tab
        self.visitor.context.set_offline(offline=True)
        tab.enter(self.wrong_code)
        tab.says("#trouble", SOMETHING)
        yield "server-away", tab
        self.visitor.context.set_offline(offline=False)
        page.close()

    def signed_in(self) -> Iterator[tuple[str, Tab]]:
        """Show what is open to somebody who has signed in."""
        tab = self.tab
        tab.go("/login/?next=/password/")
        tab.enter(self.stack.phone.code_for(self.mobile))
        tab.page.wait_for_url(f"{self.stack.url}/password/")
        tab.is_live()
        yield "password-first", tab
        tab("main .main.button").click()
        tab.says("#change-message", SOMETHING)
        yield "password-nothing-filled-in", tab
        tab.go("/grow-old/", live=False)
        tab.go("/password/")
        yield "password-signed-in-too-long-ago", tab
        tab.go("/")
        yield "home-signed-in", tab
        tab.go("/login/")
        yield "login-signed-in", tab
        # Out, and in with a password: there is one to change now.
        username = f"ann-{self.mobile[-8:]}"
        self.stack.user(username, password=PASSWORD)
        tab.logout()
        tab.user("")
        tab.go("/password/")
        tab.login(username, PASSWORD)
        tab.page.wait_for_url(f"{self.stack.url}/password/")
        tab.is_live()
        yield "password-change", tab
        tab("#current").fill(PASSWORD)
        tab("#password").fill(BETTER)
        tab("main .main.button").click()
        expect(tab("main .note[role=status]")).to_be_visible()
        tab.is_live()
        yield "password-changed", tab

    def workshop(self) -> Iterator[tuple[str, Tab]]:
        """Show the developer's pages."""
        tab = self.tab
        tab.go("/dev/phone/")
        yield "dev-phone", tab
        tab(".modes [value=fail_times]").check()
        yield "dev-phone-fails", tab
        tab("[name=report][value=delivered]").check()
        tab(".limits .button").click()
        expect(tab("#limits-reset span")).to_be_visible()
        yield "dev-phone-reset", tab
        for name, run in {"waiting": (0.0, 0), "running": (-3.0, 3), "done": (-10.0, 10)}.items():
            now, done = time.time(), run[1]
            saved = {"of": 10, "asked_at": now + run[0] - 0.1, "started_at": run[1] and now + run[0], "done": done}
            self.stack.redis.set("latchkey:selftest", json.dumps({**saved, "counted_at": now}))
            tab.go("/dev/queue/")
            yield f"dev-queue-{name}", tab
        self.stack.redis.delete("latchkey:selftest")
        if self.stack.get("/dev/style/").status_code == 200:
            tab.go("/dev/style/", live=False)
            yield "dev-style", tab

    # --- Help ---

    @property
    def wrong_code(self) -> str:
        """Six digits that are not those that were sent."""
        return f"{(int(self.stack.phone.code_for(self.mobile)) + 1) % 1000000:06}"

    def write(self, **fields: Any) -> None:
        """Write into the row what a worker would have written, as if a moment ago."""
        later = {"due_at": "+5 seconds", "lease_until": "+60 seconds", "resend_at": "+45 seconds"}
        values = {"reason": "", "route": 0, "guesses": 0, **later, **fields}
        columns = ", ".join(f"{name} = {_time(name)}" for name in values)
        self.stack.rows(f"UPDATE tasks_delivery SET {columns} WHERE id = ?", *values.values(), self.row)


def without_script(stack: Stack, visitor: Visitor) -> Iterator[tuple[str, Tab]]:
    """Show what there is for a browser without JavaScript and nowhere else."""
    visitor.expects("status of 4(22|29)")
    tab = visitor.open("/login/", live=False)
    yield "no-script-login", tab
    mobile = number()
    tab.ask(mobile)
    expect(tab("#delivery:not([data-state=''])")).to_be_attached()
    stack.phone.code_for(mobile)
    yield "no-script-asked", tab
    tab(".ask button").click(force=True)
    tab.says("#code-message", SOMETHING)
    yield "no-script-too-soon", tab


def proving(stack: Stack, visitor: Visitor) -> Iterator[tuple[str, Tab]]:
    """Show the proof that no robot asks, on a site with ALTCHA=always."""
    tab = visitor.open("/login/")
    looker = Looker(stack, visitor)
    looker.tab.page.close()
    looker.tab = tab
    tab.by("code")
    expect(tab("#code-proof altcha-widget .altcha")).to_have_attribute("data-state", "unverified")
    yield "proof-asked", tab
    tab("#code-proof altcha-widget input[type=checkbox]").click()
    expect(tab("#code-proof altcha-widget .altcha")).to_have_attribute("data-state", "verified")
    yield "proof-given", tab


def _time(name: str) -> str:
    return "strftime('%Y-%m-%d %H:%M:%f', 'now', ?)" if name in {"due_at", "lease_until", "resend_at"} else "?"
