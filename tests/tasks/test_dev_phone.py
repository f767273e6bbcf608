"""The dev phone reports as a provider does, so that whoever tries Latchkey out sees how a delivery ends."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.support.numbers import number
from tests.support.stack import ROOT, wait_until

if TYPE_CHECKING:
    from tests.support.stack import Stack


def switch(stack: Stack, **switches: str) -> None:
    """Set the switches, as the page's form does."""
    assert stack.person().page("/dev/phone/", **switches).status_code == 302


def ended(stack: Stack, mobile: str, state: str) -> dict[str, Any]:
    """Wait until a number's delivery is in a state, and return its row."""

    def look() -> list[dict[str, Any]]:
        return [row for row in stack.deliveries() if row["mobile"] == f"+86{mobile}" and row["state"] == state]

    return wait_until(look, 20, f"{mobile} did not become {state}")[0]


def secret(stack: Stack) -> str:
    """Return what the address of the dev phone's reports holds."""
    return stack.shell("from django.conf import settings; print(settings.PHONE_RECEIPT_SECRET)").strip()


def test_it_reports_a_message_as_delivered_after_some_seconds(stack: Stack) -> None:
    switch(stack, mode="ok", report="delivered", after="2")
    person, mobile = stack.person(), number()
    page = person.open()
    assert person.ask(mobile).status_code == 202
    ended(stack, mobile, "sent")
    row = ended(stack, mobile, "delivered")
    assert row["delivered_at"] > row["sent_at"]
    wait_until(lambda: page.receive(0.1) is None and ("delivered", 1) in page.history, 10, "the page was not told")
    assert page.history[-2:] == [("sent", 1), ("delivered", 1)]
    assert "reported delivered (DELIVRD)" in stack.webs[0].text(), "it came by the address for reports"
    assert person.enter(stack.phone.code_for(mobile)).status_code == 200


def test_it_reports_a_message_as_not_delivered(stack: Stack) -> None:
    """The visitor may then request another code at once."""
    switch(stack, mode="ok", report="failed", after="0")
    person, mobile = stack.person(), number()
    assert person.ask(mobile).status_code == 202
    ended(stack, mobile, "failed")
    assert "reported failed (UNDELIV, number)" in stack.webs[0].text()
    assert person.ask(mobile).status_code == 202


def test_a_report_resolves_what_nobody_knew(stack: Stack) -> None:
    """The provider has never answered, and its report names our reference."""
    switch(stack, mode="hang", report="delivered", after="8")
    person, mobile = stack.person(), number()
    assert person.ask(mobile).status_code == 202
    ended(stack, mobile, "unknown")
    ended(stack, mobile, "delivered")


def test_switches_for_reports_stay_when_failures_are_over(stack: Stack) -> None:
    switch(stack, mode="fail_times", times="1", report="delivered", after="0")
    person, mobile = stack.person(), number()
    assert person.ask(mobile).status_code == 202
    row = ended(stack, mobile, "delivered")
    assert row["attempts"] == 2


def test_without_a_switch_nothing_is_reported(stack: Stack) -> None:
    switch(stack, mode="ok")
    person, mobile = stack.person(), number()
    assert person.ask(mobile).status_code == 202
    row = ended(stack, mobile, "sent")
    assert stack.rows("SELECT * FROM tasks_report WHERE reference = ?", row["id"]) == []


@pytest.mark.parametrize("fields", [{"report": "eaten"}, {"after": "61"}, {"after": "-1"}, {"after": "soon"}])
def test_switches_that_it_does_not_have_are_refused(stack: Stack, fields: dict[str, str]) -> None:
    assert stack.person().page("/dev/phone/", **{"mode": "ok", "report": "delivered", **fields}).status_code == 422


def test_a_report_needs_the_secret_and_its_form(stack: Stack) -> None:
    """Anything on this machine may post there."""
    where = f"{stack.url}/receipts/phone/"
    report = json.dumps({"reference": "x" * 32, "report": "delivered"})
    assert httpx.post(f"{where}{'0' * 32}/", content=report).status_code == 404
    for forged in ("", "{}", "[]", "null", json.dumps({"reference": "x", "report": "eaten"})):
        assert httpx.post(f"{where}{secret(stack)}/", content=forged).status_code == 403, forged
    assert httpx.post(f"{where}{secret(stack)}/", content=report).status_code == 200


def test_it_has_one_name(stack: Stack) -> None:
    """On its page, at its address, and wherever code and documents speak of it."""
    page = stack.person().get("/dev/phone/").text
    assert "<title>Dev phone · " in page
    assert ">Dev phone</h1>" in page
    other = re.compile("test[ -]phone", re.IGNORECASE)
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    if not listed:
        pytest.skip("this is no clone")
    texts = [ROOT / name for name in listed if name.endswith((".py", ".md", ".js", ".css", ".html", ".po", ".example"))]
    assert len(texts) > 100, "or this test means nothing"
    assert [path for path in texts if path.exists() and path != Path(__file__) and other.search(path.read_text())] == []
