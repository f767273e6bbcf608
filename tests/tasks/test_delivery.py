"""An accepted SMS is resolved, whatever happens to it on its way, and never goes out twice without a record."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sqlite3
import threading
import time
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest
import redis

from project.run import valkey
from tasks.delivery.recovery import OVERDUE
from tests.support.numbers import number
from tests.support.provider import SMS, Provider, Request
from tests.support.stack import PATIENCE, Part, Stack, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.person import Page, Person

# Huey's scheduler looks once a second, and the machine may be busy.
LATE = timedelta(seconds=2.5)


class SlowProvider(Provider):
    """Takes a moment for each request, so that a page can see every state, and notes what the rows say meanwhile."""

    def __init__(self) -> None:
        super().__init__(on_sent=self.note_row)
        self.site: Stack | None = None
        # By reqId: the attempts that were under way when its SMS left.
        self.under_way: dict[str, list[dict[str, Any]]] = {}
        # One for each answer that may be given, None while all may.
        self.words: threading.Semaphore | None = None

    def begin(self, request: Request) -> None:
        """Wait before anything else, but less long than a gateway does."""
        super().begin(request)
        if self.words is None:
            time.sleep(0.3)
        else:
            self.words.acquire(timeout=4)

    @contextmanager
    def on_word(self) -> Iterator[Callable[[], None]]:
        """Answer a request for each call only: a busy machine may need more than a moment to show a state."""
        self.words = threading.Semaphore(0)
        try:
            yield self.words.release
        finally:
            self.words = None

    def note_row(self, sms: SMS) -> None:
        """Look at the delivery's attempts as an SMS leaves."""
        assert self.site
        self.under_way[sms.req_id] = [
            row for row in self.site.attempts() if row["delivery_id"] == sms.req_id and not row["outcome"]
        ]


@pytest.fixture(scope="module")
def provider() -> Iterator[SlowProvider]:
    """The provider of this file's site."""
    with SlowProvider() as provider:
        yield provider


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, provider: SlowProvider) -> Iterator[Stack]:
    """A site with a provider that knows repeats by their reqId, and with two workers."""
    with Stack(tmp_path_factory.mktemp("provider"), provider=provider, workers=2) as stack:
        provider.site = stack
        yield stack


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site whose gateway sends a repeat twice; in doubt the visitor is asked. Its cooldown is soon over."""
    with Stack(tmp_path_factory.mktemp("phone"), SMS_COOLDOWN="1") as stack:
        yield stack


@contextmanager
def workers_away(stack: Stack) -> Iterator[None]:
    """Hang the workers for a while."""
    for worker in stack.workers:
        stack.hang(worker)
    try:
        # Redis would still give the next bell to one that waited for it when it was stopped.
        wait_until(lambda: stack.redis.info("clients")["blocked_clients"] == 0)
        yield
    finally:
        for worker in stack.workers:
            worker.signal(signal.SIGCONT)


def tab_of(person: Person) -> Page:
    page = person.open()
    page.wait_for("connection", state="live")
    return page


def row_of(stack: Stack, mobile: str) -> dict[str, Any]:
    """Return the newest delivery of a number."""
    return [row for row in stack.deliveries() if row["mobile"] == f"+86{mobile}"][-1]


def attempts_of(stack: Stack, mobile: str) -> list[dict[str, Any]]:
    """Return the attempts of a number's newest delivery."""
    own = row_of(stack, mobile)["id"]
    return [row for row in stack.attempts() if row["delivery_id"] == own]


def sent_to(stack: Stack, mobile: str) -> list[str]:
    """Return the codes that have arrived at a number."""
    return [message.code for message in stack.phone.messages if message.to == f"+86{mobile}"]


def wait_for_row(stack: Stack, mobile: str, state: str, seconds: float = 15) -> dict[str, Any]:
    """Wait until a number's newest delivery is in a state."""
    return wait_until(lambda: [row for row in [row_of(stack, mobile)] if row["state"] == state], seconds, state)[0]


def gate_is_shut(stack: Stack, delivery_id: str) -> bool:
    """Tell whether a delivery holds its number's gate."""
    return any(stack.redis.get(key) == delivery_id for key in stack.redis.scan_iter("*:cooldown:*"))


def wait_until_gate_opens(stack: Stack, delivery_id: str) -> None:
    """Wait until a delivery gives its number's gate back: a page that looks by itself may be faster than that."""
    wait_until(lambda: not gate_is_shut(stack, delivery_id), 5, "the gate is still shut")


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def gaps(attempts: list[dict[str, Any]]) -> list[timedelta]:
    """Return how long after the end of each attempt the next began."""
    ends = [moment(row["ended_at"]) for row in attempts[:-1]]
    return [moment(row["started_at"]) - end for row, end in zip(attempts[1:], ends, strict=True)]


# --- The provider says no


def test_two_failures_then_success_is_seen_step_by_step(site: Stack, provider: SlowProvider) -> None:
    """T-73, T-74: the page tells each step, and the attempts are five to six seconds apart."""
    person, mobile = site.person(), number()
    tab = tab_of(person)
    provider.script("busy", "429")
    with provider.on_word() as answer:
        with workers_away(site):
            assert person.ask(mobile).status_code == 202
            tab.wait_for("delivery", state="queued")
        for attempt in ("1", "2", "3"):
            tab.wait_for("delivery", 15, state="sending", attempt=attempt)
            answer()
        tab.wait_for("delivery", state="sent")
    assert tab.history == [
        ("", 0),
        ("queued", 0),
        ("sending", 1),
        # While it waits, the page speaks of the attempt that it waits for.
        ("retrying", 2),
        ("sending", 2),
        ("retrying", 3),
        ("sending", 3),
        ("sent", 3),
    ]
    attempts = attempts_of(site, mobile)
    assert [(row["n"], row["outcome"]) for row in attempts] == [(1, "not_sent"), (2, "not_sent"), (3, "accepted")]
    for gap in gaps(attempts):
        assert timedelta(seconds=5) <= gap <= timedelta(seconds=5) + LATE
    assert person.enter(*sent_to(site, mobile)).status_code == 200
    assert not row_of(site, mobile)["possibly_duplicated"]


def test_four_failures_end_it_and_the_number_may_ask_again_at_once(site: Stack, provider: SlowProvider) -> None:
    """T-73: the cooldown is given back, for nothing was sent."""
    person, mobile = site.person(), number()
    tab = tab_of(person)
    provider.script("busy", "busy", "busy", "busy")
    assert person.ask(mobile).status_code == 202
    tab.wait_for("delivery", state="retrying", attempt="2")
    failed = row_of(site, mobile)["id"]
    assert gate_is_shut(site, failed), "or this test means nothing"
    assert int(tab.leaves["countdown"]["data-seconds"]) > 40
    assert person.ask(mobile).status_code == 429
    tab.wait_for("delivery", 45, state="failed", attempt="4")
    # In the same push as the bad news.
    assert tab.leaves["countdown"]["data-seconds"] == "0"
    wait_until_gate_opens(site, failed)
    assert [row["outcome"] for row in attempts_of(site, mobile)] == ["not_sent"] * 4
    assert sent_to(site, mobile) == []
    assert person.ask(mobile).status_code == 202
    tab.wait_for("delivery", state="sent")
    assert person.enter(*sent_to(site, mobile)).status_code == 200


@pytest.mark.parametrize(
    ("mode", "reason", "words"),
    [
        ("bad_number", "number", "can't receive our messages"),
        ("balance", "operator", "on our side"),
        ("auth_error", "operator", "on our side"),
    ],
)
def test_a_definite_no_is_not_tried_again(
    site: Stack, provider: SlowProvider, mode: str, reason: str, words: str
) -> None:
    """T-73."""
    person, mobile = site.person(), number()
    tab = tab_of(person)
    provider.script(mode)
    assert person.ask(mobile).status_code == 202
    shown = tab.wait_for("delivery", state="failed", attempt="1")
    assert words in shown["text"]
    assert tab.leaves["countdown"]["data-seconds"] == "0"
    row = row_of(site, mobile)
    assert row["reason"] == reason
    wait_until_gate_opens(site, row["id"])
    assert person.ask(mobile).status_code == 202
    wait_for_row(site, mobile, "sent")


def test_a_number_that_has_had_enough_has_to_wait(site: Stack, provider: SlowProvider) -> None:
    """T-73: the cooldown stays."""
    person, mobile = site.person(), number()
    tab = tab_of(person)
    provider.script("too_frequent")
    assert person.ask(mobile).status_code == 202
    shown = tab.wait_for("delivery", state="failed")
    assert "Too many messages" in shown["text"]
    assert int(tab.leaves["countdown"]["data-seconds"]) > 40
    answer = person.ask(mobile)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 40
    assert len(attempts_of(site, mobile)) == 1


def test_a_provider_that_is_down_is_waited_for(site: Stack, provider: SlowProvider) -> None:
    """T-73."""
    person, mobile = site.person(), number()
    with provider.down():
        assert person.ask(mobile).status_code == 202
        wait_for_row(site, mobile, "retrying")
        assert attempts_of(site, mobile)[0]["outcome"] == "not_sent"
    wait_for_row(site, mobile, "sent")
    assert len(sent_to(site, mobile)) == 1


# --- Nobody knows


def test_a_lost_answer_is_repeated_under_the_same_reqid(site: Stack, provider: SlowProvider) -> None:
    """T-72: the provider took it and hung up. It knows the repeat by its reqId, so there is no second SMS."""
    person, mobile = site.person(), number()
    tab = tab_of(person)
    provider.script("accept_then_reset")
    assert person.ask(mobile).status_code == 202
    tab.wait_for("delivery", state="retrying", attempt="2")
    tab.wait_for("delivery", 20, state="sent", attempt="2")
    row = row_of(site, mobile)
    first, second = [request for request in provider.requests if request.req_id == row["id"]]
    assert (first.verdict, second.verdict) == ("000000", "160054")
    assert first.body == second.body, "the code is the same in both, and all else too"
    assert [a["outcome"] for a in attempts_of(site, mobile)] == ["unknown", "accepted"]
    assert not row["possibly_duplicated"]
    assert person.enter(*sent_to(site, mobile)).status_code == 200


def test_the_visitor_is_asked_when_nobody_knows(plain: Stack) -> None:
    """T-72, policy ask: one SMS, a state of its own with words of its own, and the choice to send again."""
    person, mobile = plain.person(), number()
    tab = tab_of(person)
    switch(plain, "hang")
    assert person.ask(mobile).status_code == 202
    assert plain.phone.code_for(mobile)
    switch(plain, "ok")
    shown = tab.wait_for("delivery", 20, state="unknown")
    assert "may have been sent" in shown["text"]
    assert "couldn't send" not in shown["text"]
    row = row_of(plain, mobile)
    assert moment(row["resend_at"]) - moment(row["created_at"]) == timedelta(seconds=1), "the cooldown is kept"
    assert [a["outcome"] for a in attempts_of(plain, mobile)] == ["unknown"]
    assert len(sent_to(plain, mobile)) == 1
    # It did arrive, and it works; so does asking again.
    assert person.ask(mobile).status_code == 202
    tab.wait_for("delivery", state="sent")
    assert person.enter(plain.phone.code_for(mobile, 2)).status_code == 200


def test_a_resend_carries_the_same_code_and_is_flagged(make_stack: Callable[..., Stack]) -> None:
    """T-72, policy resend."""
    stack = make_stack(SMS_AMBIGUOUS="resend")
    person, mobile = stack.person(), number()
    switch(stack, "hang")
    assert person.ask(mobile).status_code == 202
    code = stack.phone.code_for(mobile)
    switch(stack, "ok")
    row = wait_for_row(stack, mobile, "sent", 20)
    assert sent_to(stack, mobile) == [code, code]
    assert row["possibly_duplicated"]
    assert [a["outcome"] for a in attempts_of(stack, mobile)] == ["unknown", "accepted"]
    assert person.enter(code).status_code == 200


def switch(stack: Stack, mode: str) -> None:
    """Set the dev phone's switches."""
    assert stack.person().page("/dev/phone/", mode=mode).status_code == 302


# --- The queue and its bell


def test_no_sms_leaves_without_its_attempt_on_record(site: Stack, provider: SlowProvider) -> None:
    """T-69: at the moment of each send of this file so far, exactly one attempt of that delivery was under way."""
    person, mobile = site.person(), number()
    assert person.ask(mobile).status_code == 202
    row = wait_for_row(site, mobile, "sent")
    assert row["id"] in provider.under_way, "or this test means nothing"
    for sms in provider.sent:
        assert len(provider.under_way[sms.req_id]) == 1
    assert provider.violations == []


def test_a_lost_bell_is_rung_again_and_only_once(site: Stack) -> None:
    """T-74: Redis has forgotten the task. Each of the two workers has a sweeper; one of them rings."""
    person, mobile = site.person(), number()
    with site.redis.monitor() as monitor:  # type: ignore[no-untyped-call]
        with workers_away(site):
            assert person.ask(mobile).status_code == 202
            assert site.redis.delete(queue(site)) == 1, "the bell had rung, or this test means nothing"
        row = wait_for_row(site, mobile, "sent")
        _lost, first, *more = bells_for(row["id"], site, monitor)
    # On a busy machine nobody may have come for it, and after two seconds it is right to ring again.
    assert not [when for when in more if when - first < OVERDUE.total_seconds() / 2]
    assert len(sent_to(site, mobile)) == len(attempts_of(site, mobile)) == 1


def bells_for(delivery_id: str, stack: Stack, monitor: Any) -> list[float]:
    """Return when a bell for a delivery was put into the queue, as far as a monitor of Redis has heard.

    They cannot just be counted: at each full ten minutes there are bells for other things.
    """
    stack.redis.echo("that is all")
    heard: list[float] = []
    while "that is all" not in (said := monitor.next_command())["command"]:
        if said["command"].upper().startswith("LPUSH") and delivery_id in said["command"]:
            heard.append(float(said["time"]))
    return heard


def queue(stack: Stack) -> str:
    """Return the key of the queue."""
    return f"huey.redis.{stack.settings['QUEUE_NAME']}"


class Harm:
    """What a pickle can do to its reader."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (self.command,)


def test_a_forged_doubled_or_stale_bell_sends_nothing(site: Stack) -> None:
    """T-75: whoever can write to the queue gets no SMS out of it, and no code run."""
    person, mobile = site.person(), number()
    marker = site.folder / "harm"
    # A client that leaves bytes alone.
    raw = redis.Redis.from_url(valkey.url(site.folder))
    with workers_away(site):
        assert person.ask(mobile).status_code == 202
        (bell,) = cast("list[bytes]", raw.lrange(queue(site), 0, -1))
        raw.lpush(queue(site), bell, bell, bell)
    wait_for_row(site, mobile, "sent")
    stale = bell
    harm = pickle.dumps(Harm(f"touch {marker}"))
    assert pickle.loads(pickle.dumps(Harm("true"))) == 0, "a pickle runs commands, or this test means nothing"
    raw.lpush(queue(site), stale, harm, harm + b":" + bell[-40:], bell[:-1], b"", b"\x80", "完".encode() * 1000)
    wait_until(lambda: raw.llen(queue(site)) == 0)
    # The queue is worked off in order, so when this one is sent the others are over.
    other, another = site.person(), number()
    assert other.ask(another).status_code == 202
    wait_for_row(site, another, "sent")
    assert len(sent_to(site, mobile)) == len(attempts_of(site, mobile)) == 1
    assert not marker.exists()


def test_the_worker_carries_the_log_over_and_nobody_who_waits_does(plain: Stack) -> None:
    """SQLite has whoever commits do it, a tenth of a second, when its log is 4 MB: some visitor in four hundred."""
    mobile = number()
    assert plain.person().ask(mobile).status_code == 202
    file = plain.folder / "latchkey.sqlite3"
    wait_until(lambda: mobile.encode() in file.read_bytes(), 10, "the row is only in the log")


def test_a_request_waits_for_a_worker_that_is_down(plain: Stack) -> None:
    """T-74: the page says queued, and the SMS goes out when a worker is back."""
    person, mobile = plain.person(), number()
    tab = tab_of(person)
    plain.workers[0].kill()
    assert person.ask(mobile).json()["state"] == "queued"
    tab.wait_for("delivery", state="queued")
    assert person.state["state"] == "queued"
    assert sent_to(plain, mobile) == []
    plain.workers[0].start()
    tab.wait_for("delivery", PATIENCE, state="sent")
    assert person.enter(*sent_to(plain, mobile)).status_code == 200


def test_a_newer_request_takes_the_place_of_one_that_waits(plain: Stack) -> None:
    """T-3: two browsers ask for one number while no worker is there. One SMS, the newer one's."""
    first, second, mobile = plain.person(), plain.person(), number()
    tab = tab_of(first)
    with workers_away(plain):
        assert first.ask(mobile).status_code == 202
        older = row_of(plain, mobile)["id"]
        tab.wait_for("delivery", state="queued")
        wait_until(lambda: second.ask(mobile).status_code == 202, 5)
        shown = tab.wait_for("delivery", 2, state="superseded")
        assert "newer code" in shown["text"]
    wait_for_row(plain, mobile, "sent")
    assert len(sent_to(plain, mobile)) == 1
    assert plain.rows("SELECT state, attempts FROM tasks_delivery WHERE id = ?", older) == [
        {"state": "superseded", "attempts": 0}
    ]
    assert first.enter(*sent_to(plain, mobile)).status_code == 422
    assert second.enter(*sent_to(plain, mobile)).status_code == 200


def test_what_comes_too_late_for_its_code_is_not_sent(plain: Stack) -> None:
    """The worker was away for most of the code's life: an SMS that arrives as its code dies only angers."""
    person, mobile = plain.person(), number()
    tab = tab_of(person)
    with workers_away(plain):
        assert person.ask(mobile).status_code == 202
        tab.wait_for("delivery", state="queued")
        own = row_of(plain, mobile)["id"]
        plain.rows(
            "UPDATE tasks_delivery SET created_at = datetime(created_at, '-271 seconds'), "
            "due_at = datetime(due_at, '-271 seconds') WHERE id = ?", own,
        )  # fmt: skip
    shown = tab.wait_for("delivery", state="expired")
    assert "expired before we could send it" in shown["text"]
    assert tab.leaves["countdown"]["data-seconds"] == "0"
    assert attempts_of(plain, mobile) == []
    wait_until_gate_opens(plain, own)
    assert person.ask(mobile).status_code == 202
    assert person.enter(plain.phone.code_for(mobile)).status_code == 200
    assert len(sent_to(plain, mobile)) == 1


# --- A worker is lost in the middle of a send


def test_a_send_whose_worker_is_gone_is_resolved_and_a_late_answer_still_counts(plain: Stack) -> None:
    """T-68: one worker is killed and one hangs, each in mid-send. A third takes their leases; the hung one wakes up."""
    people = [plain.person(), plain.person()]
    hung, killed = number(), number()
    tabs = [tab_of(person) for person in people]
    switch(plain, "slow")
    first = plain.workers[0]
    second, third = (
        Part(name, first.command, plain.environment, plain.folder / f"{name}.log") for name in ("second", "third")
    )
    try:
        # It is there before the first lease begins: a start may take as long as that lasts.
        second.start()
        wait_until(lambda: "Huey consumer started" in second.text(), PATIENCE, "the second worker does not start")
        plain.hang(second)
        assert people[0].ask(hung).status_code == 202
        wait_for_row(plain, hung, "sending")
        plain.hang(first)
        second.signal(signal.SIGCONT)
        assert people[1].ask(killed).status_code == 202
        wait_for_row(plain, killed, "sending")
        second.kill()
        switch(plain, "ok")
        third.start()
        assert [a["outcome"] for m in (hung, killed) for a in attempts_of(plain, m)] == ["", ""], "both under way"
        for tab in tabs:
            shown = tab.wait_for("delivery", PATIENCE, state="unknown")
            assert "may have been sent" in shown["text"]
        assert [a["outcome"] for m in (hung, killed) for a in attempts_of(plain, m)] == ["unknown", "unknown"]
        assert sent_to(plain, hung) == sent_to(plain, killed) == []
        # It sends what it was about to send, and says so, although it is nobody any more.
        first.signal(signal.SIGCONT)
        tabs[0].wait_for("delivery", state="sent", attempt="1")
        assert [a["outcome"] for a in attempts_of(plain, hung)] == ["accepted"]
        assert people[0].enter(*sent_to(plain, hung)).status_code == 200
        # Nobody tried a second time: in doubt the visitor is asked.
        assert row_of(plain, killed)["state"] == "unknown"
        assert sent_to(plain, killed) == []
    finally:
        first.signal(signal.SIGCONT)
        for part in (second, third):
            part.kill()


def test_the_provider_s_answer_is_kept_while_the_database_is_away(site: Stack, provider: SlowProvider) -> None:
    """The provider answers once. Thrown away, its answer would be a second SMS, or "unknown" for what was accepted."""
    person, mobile = site.person(), number()
    logged = [len(worker.text()) for worker in site.workers]

    def said(words: str) -> int:
        return sum(worker.text()[at:].count(words) for worker, at in zip(site.workers, logged, strict=True))

    with provider.on_word() as answer:
        assert person.ask(mobile).status_code == 202
        wait_for_row(site, mobile, "sending")
        with contextlib.closing(sqlite3.connect(site.folder / "latchkey.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            answer()
            wait_until(lambda: said("cannot be written yet"), 15, "the answer is not kept")
            other.execute("ROLLBACK")
        wait_for_row(site, mobile, "sent")
    assert [row["outcome"] for row in attempts_of(site, mobile)] == ["accepted"]
    assert len(sent_to(site, mobile)) == 1
    assert said("cannot be written yet") == 1
    assert said("Traceback") == 0
