"""A delivery and its code against a small model of them: whatever happens in whatever order, both agree.

The real thing is accounts.codes, tasks.delivery and tasks.receipts, with a real Valkey and a real database. The
model is a few lines of plain Python that know no lease, no script and no SQL. Time goes by in the rows and in Redis's
lifetimes, in steps of ten seconds; no limit is a multiple of ten, so the real seconds of a run decide nothing. Where
they become many, they are taken back.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest
from django.conf import settings as live_settings
from django.db.models import F
from django.db.models.functions import Least, Now
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis import Redis

from accounts import codes
from accounts.models import Guesses
from accounts.throttling import failed_attempts
from project import redis
from project.run import valkey
from tasks import cooldown, delivery, limits, receipts
from tasks.delivery import Claim, recovery, withdraw
from tasks.gateways import Answer, Outcome, Reason, Receipt
from tasks.models import Attempt, Delivery, Report

if TYPE_CHECKING:
    from collections.abc import Iterator

COOLDOWN = 53
TTL = 250
# Nine tenths of it, tasks/delivery/transitions.py.
USEFUL = 225
RETRY, LEASE, OVERDUE = 5, 15, 2
TRIES, ATTEMPTS = 5, 4
NUMBERS = ["+8613800138001", "+8613800138002"]
BROWSERS = ["a" * 32, "b" * 32]
WAITING = ("queued", "retrying")
# What time goes by in.
MOMENTS: dict[type[Delivery | Guesses], list[str]] = {
    Delivery: [
        *(f"{at}_at" for at in ("created", "due", "rung", "resend", "used", "superseded", "withdrawn")),
        "lease_until",
    ],
    Guesses: ["open_at", "last_at"],
}
# Real seconds that may go by: fewer than the least that is left of a limit after some steps of ten.
UNNOTICED = 0.5

# What a gateway may say: outcome, and whose matter it is.
SAYINGS = [
    (Outcome.ACCEPTED, Reason.NONE),
    (Outcome.NOT_SENT, Reason.NONE),
    (Outcome.NOT_SENT, Reason.OPERATOR),
    (Outcome.REFUSED, Reason.NUMBER),
    (Outcome.REFUSED, Reason.WAIT),
    (Outcome.REFUSED, Reason.OPERATOR),
    (Outcome.REFUSED, Reason.ROUTE),
    (Outcome.UNKNOWN, Reason.NONE),
    (Outcome.UNKNOWN, Reason.OPERATOR),
]


@dataclass
class Try:
    """The model's attempt."""

    claim: Claim
    gateway: str
    began: int
    outcome: str = ""
    told: bool = False
    # What has been reported of it.
    reports: set[bool] = field(default_factory=set)

    @property
    def sid(self) -> str:
        """The provider's id of it."""
        return f"sid-{self.claim.token}"


@dataclass
class Promise:
    """The model's delivery."""

    id: str
    mobile: str
    browser: str
    created: int
    state: str = "queued"
    due: int = 0
    rung: int = 0
    free: int = 0
    route: int = 0
    flagged: bool = False
    superseded: bool = False
    withdrawn: bool = False
    used: bool = False
    tries: list[Try] = field(default_factory=list)

    def unsure(self, but: Try | None = None) -> bool:
        """Tell whether an attempt, other than one, may be on somebody's phone."""
        return any(each.outcome == "unknown" and each is not but for each in self.tries)


class Machine(RuleBasedStateMachine):
    """Does the same to both."""

    client: Redis

    def __init__(self) -> None:
        """Forget all."""
        super().__init__()
        for model in (Report, Attempt, Delivery, Guesses):
            model.objects.all().delete()
        redis.client().flushdb()
        self.now = 0
        self.promises: list[Promise] = []
        # By number: whose gate is shut until when.
        self.gates: dict[str, tuple[str, int]] = {}
        # By browser: whose code is open, until when, and how many tries it had.
        self.open: dict[str, tuple[Promise, int, int]] = {}
        # By number: wrong guesses in a row, and until when no other is looked at.
        self.failures: dict[str, tuple[int, float]] = {}
        # The real moment that `now` is.
        self.moment = time.monotonic()

    @initialize(
        chain=st.sampled_from([["yuntongxun"], ["aliyun"], ["yuntongxun", "aliyun"], ["aliyun", "yuntongxun"]]),
        ambiguous=st.sampled_from(["ask", "resend"]),
    )
    def configure(self, chain: list[str], ambiguous: str) -> None:
        """Begin with some gateways and a policy."""
        self.chain, self.ambiguous = chain, ambiguous
        live_settings.SMS_GATEWAYS, live_settings.SMS_AMBIGUOUS = chain, ambiguous

    # --- People ---

    @rule(mobile=st.sampled_from(NUMBERS), browser=st.sampled_from(BROWSERS), patient=st.booleans())
    def ask(self, mobile: str, browser: str, patient: bool) -> None:
        """Ask for a code: the first time, again, or from another browser; the patient wait for the countdown's end."""
        if patient and any(p.mobile == mobile and p.free > self.now for p in self.promises):
            self.pass_time(6)
        _holder, until = self.gates.get(mobile, ("", 0))
        shut = until > self.now
        held = [p for p in self.promises if p.mobile == mobile and p.free > self.now]
        wish: dict[str, Any] = {
            "mobile": mobile,
            "purpose": "login",
            "browser": browser,
            "address": "c" * 32,
            "language": "en",
        }
        if shut or held:
            with pytest.raises(codes.TooFrequent):
                codes.issue(**wish)
            if not shut:
                # Redis knew of nothing, so the code that was open here is gone; the row knew.
                self.open.pop(browser, None)
            return
        row = codes.issue(**wish)
        for older in self.promises:
            young = self.now - older.created < USEFUL
            if older.mobile != mobile or older.superseded or not young or older.state not in (*WAITING, "sending"):
                continue
            older.superseded = True
            if older.state in WAITING:
                older.state = "unknown" if older.unsure() else "superseded"
        promise = Promise(row.pk, mobile, browser, self.now, due=self.now, rung=self.now, free=self.now + COOLDOWN)
        self.promises.append(promise)
        self.gates[mobile] = (row.pk, self.now + COOLDOWN)
        self.open[browser] = (promise, self.now + TTL, 0)

    @precondition(lambda self: self.promises)
    @rule(data=st.data(), right=st.booleans(), browser=st.sampled_from(BROWSERS))
    def type_code(self, data: st.DataObject, right: bool, browser: str) -> None:
        """Type the code of some delivery in some browser, or something else."""
        promise = data.draw(st.sampled_from(self.promises))
        code = Delivery.objects.get(pk=promise.id).code
        given = code if right else f"{(int(code) + 1) % 10**6:06}"
        found, until, tries = self.open.get(browser, (promise, 0, 0))
        try:
            verified = codes.check(browser=browser, purpose="login", code=given, address="c" * 32)
            said = f"in as {verified.mobile}"
        except codes.Wrong as wrong:
            said = f"wrong, {wrong.tries_left} left"
        except codes.Expired:
            said = "expired"
        except failed_attempts.Paused:
            said = "paused"
        failed, paused = self.failures.get(found.mobile, (0, 0))
        if until <= self.now:
            assert said == "expired"
        elif paused > self.now:
            assert said == "paused"
        elif given == Delivery.objects.get(pk=found.id).code:
            assert said == f"in as {found.mobile}"
            found.used = True
            del self.open[browser]
            self.failures.pop(found.mobile, None)
        else:
            assert said == f"wrong, {TRIES - tries - 1} left"
            self.open[browser] = (found, until, tries + 1)
            failed += 1
            # After each whole code's worth a pause, twice as long as the last.
            pause = COOLDOWN / 2 * 2 ** (failed // TRIES - 1) if failed % TRIES == 0 else 0
            self.failures[found.mobile] = failed, self.now + pause
            if tries + 1 == TRIES:
                del self.open[browser]

    @precondition(lambda self: self.promises)
    @rule(data=st.data())
    def take_back(self, data: st.DataObject) -> None:
        """Press "wrong number?", once or again. The gates stay as they are; the page asks for its newest only."""
        promise = data.draw(st.sampled_from(self.promises))
        may = not promise.withdrawn and not promise.used
        assert withdraw.withdraw(promise.id) == may
        if not may:
            return
        promise.withdrawn = True
        if promise.state in (*WAITING, "sending"):
            promise.superseded = True
        if promise.state in WAITING:
            promise.state = "unknown" if promise.unsure() else "superseded"
        self.open = {browser: mine for browser, mine in self.open.items() if mine[0] is not promise}

    # --- Time ---

    @rule(tens=st.sampled_from([1, 1, 2, 3, 10, 26]))
    def wait(self, tens: int) -> None:
        """Let time go by."""
        self.pass_time(tens)

    def pass_time(self, tens: int) -> None:
        """Let time go by, in the rows and in Redis."""
        seconds = 10 * tens
        self.now += seconds
        moved = timedelta(seconds=seconds)
        for model, names in MOMENTS.items():
            model.objects.update(**{name: F(name) - moved for name in names})
        client = redis.client()
        for key in client.scan_iter("*"):
            if (left := int(client.pttl(key))) > 0:
                client.pexpire(key, max(1, left - seconds * 1000))
        for key in client.scan_iter("*"):
            if 0 <= int(client.pttl(key)) <= 1:
                client.delete(key)

    @rule()
    def empty_redis(self) -> None:
        """Lose all that Redis knew. The cooldowns come back from the rows, the codes do not."""
        redis.client().flushdb()
        self.open.clear()
        self.gates = {
            mobile: (newest.id, newest.free)
            for mobile in NUMBERS
            if (mine := [p for p in self.promises if p.mobile == mobile and p.free > self.now]) and (newest := mine[-1])
        }

    # --- Workers ---

    @precondition(lambda self: self.promises)
    @rule(data=st.data())
    def work(self, data: st.DataObject) -> None:
        """Come for a delivery, as after a doorbell, whether it rang for it or not."""
        promise = data.draw(st.sampled_from(self.promises))
        gateway = self._gateway(promise)
        claim = delivery.claim(promise.id)
        may = (
            promise.state in WAITING
            and promise.due <= self.now
            and len(promise.tries) < ATTEMPTS
            and not promise.superseded
            and self.now - promise.created < USEFUL
        )
        assert (claim is not None) == may
        if claim is None:
            return
        assert claim.gateway == gateway
        promise.state = "sending"
        promise.tries.append(Try(claim, claim.gateway, self.now))
        if saying := data.draw(st.none() | st.sampled_from(SAYINGS)):
            self._answer(promise, promise.tries[-1], *saying)

    @precondition(lambda self: any(not each.told for p in self.promises for each in p.tries))
    @rule(data=st.data(), saying=st.sampled_from(SAYINGS))
    def answer(self, data: st.DataObject, saying: tuple[Outcome, Reason]) -> None:
        """Write down what a provider said, however late."""
        pending = [(p, each) for p in self.promises for each in p.tries if not each.told]
        self._answer(*data.draw(st.sampled_from(pending)), *saying)

    def _answer(self, promise: Promise, each: Try, outcome: Outcome, reason: Reason) -> None:
        sid = each.sid if outcome == Outcome.ACCEPTED else ""
        delivery.record(each.claim, Answer(outcome, reason, provider_id=sid))
        each.told = True
        each.outcome = str(outcome)
        self._ended(promise, each, outcome, reason)
        if sid:
            # A report may have been faster.
            for delivered in (False, True):
                if delivered in each.reports:
                    self._reported(promise, each, delivered=delivered)

    @rule()
    def sweep(self) -> None:
        """Do a round of the sweeper."""
        recovery.reclaim()
        recovery.expire()
        rung = set(recovery.overdue(100))
        for promise in self.promises:
            last = promise.tries[-1] if promise.tries else None
            if promise.state == "sending" and last and self.now - last.began > LEASE:
                last.outcome = "unknown"
                self._ended(promise, last, Outcome.UNKNOWN, Reason.NONE)
        for promise in self.promises:
            if promise.state in WAITING and self.now - promise.created >= USEFUL:
                promise.state = "unknown" if promise.unsure() else "expired"
                promise.free = self.now
                self._release(promise)
        late = {
            p.id
            for p in self.promises
            if p.state in WAITING and self.now - p.due > OVERDUE and self.now - p.rung > OVERDUE
        }
        assert rung == late
        for promise in self.promises:
            if promise.id in rung:
                promise.rung = self.now

    # --- Providers ---

    @precondition(lambda self: any(p.tries for p in self.promises))
    @rule(data=st.data(), delivered=st.booleans(), twice=st.booleans())
    def report(self, data: st.DataObject, delivered: bool, twice: bool) -> None:
        """Report what became of an attempt, before its answer or after, perhaps twice."""
        promise, each = data.draw(st.sampled_from([(p, each) for p in self.promises for each in p.tries]))
        for _ in range(1 + twice):
            receipts.take(each.gateway, Receipt(delivered, provider_id=each.sid))
            if each.told and each.outcome == "accepted":
                self._reported(promise, each, delivered=delivered)
            each.reports.add(delivered)

    # --- The model's own rules ---

    def _gateway(self, promise: Promise) -> str:
        unsure = [each for each in promise.tries if each.outcome == "unknown"]
        return unsure[-1].gateway if unsure else self.chain[min(promise.route, len(self.chain) - 1)]

    def _following(self, promise: Promise, each: Try, outcome: Outcome, reason: Reason) -> int | None:
        """Return whose turn it is after an attempt that sent nothing: the next, in the end the first again."""
        if outcome != Outcome.NOT_SENT and reason not in {Reason.OPERATOR, Reason.ROUTE}:
            return None
        refused = {other.gateway for other in promise.tries if other.outcome == "refused"}
        here = self.chain.index(each.gateway) + 1
        order = self.chain[here:] + self.chain[:here]
        return next((self.chain.index(gateway) for gateway in order if gateway not in refused), None)

    def _ended(self, promise: Promise, each: Try, outcome: Outcome, reason: Reason) -> None:
        """Move on from an attempt, if it is still this one's turn."""
        if promise.state != "sending" or promise.tries[-1] is not each:
            # Somebody else has moved it on. Only that it went out after all is news.
            if outcome == Outcome.ACCEPTED:
                if promise.state in {"queued", "retrying", "unknown", "expired", "failed"}:
                    promise.state = "sent"
                elif promise.state == "sending":
                    promise.flagged = True
            return
        again = len(promise.tries) < ATTEMPTS and not promise.superseded
        safe = each.gateway == "yuntongxun"
        others = promise.unsure(but=each)
        if outcome == Outcome.ACCEPTED:
            promise.state = "sent"
        elif outcome == Outcome.UNKNOWN:
            if again and (safe or self.ambiguous == "resend"):
                promise.state, promise.due = "retrying", self.now + RETRY
                promise.flagged |= not safe
            else:
                promise.state = "unknown"
        elif again and not others and (turn := self._following(promise, each, outcome, reason)) is not None:
            wait = 0 if turn > self.chain.index(each.gateway) else RETRY
            promise.state, promise.due, promise.route = "retrying", self.now + wait, turn
        elif outcome == Outcome.NOT_SENT and again:
            promise.state, promise.due = "retrying", self.now + RETRY
        elif others:
            promise.state = "unknown"
        elif promise.superseded:
            promise.state = "superseded"
        else:
            promise.state = "failed"
            if reason != Reason.WAIT:
                promise.free = self.now
                self._release(promise)

    def _reported(self, promise: Promise, each: Try, *, delivered: bool) -> None:
        if delivered:
            promise.state = "delivered"
            return
        others = [other for other in promise.tries if other is not each and other.outcome in {"accepted", "unknown"}]
        if not others and promise.state in {"sent", "unknown"}:
            promise.state, promise.free = "failed", self.now
            self._release(promise)

    def _release(self, promise: Promise) -> None:
        if self.gates.get(promise.mobile, ("", 0))[0] == promise.id:
            del self.gates[promise.mobile]

    # --- What must hold after every step ---

    @invariant()
    def no_real_time_goes_by(self) -> None:
        """Take back what the steps have taken: on a busy machine two seconds are soon over, and that is a limit."""
        gone = time.monotonic() - self.moment
        if gone < UNNOTICED:
            return
        self.moment += gone
        back = timedelta(seconds=gone)
        for model, names in MOMENTS.items():
            for name in names:
                model.objects.filter(**{f"{name}__gt": Now()}).update(**{name: F(name) + back})
                # What has happened has happened, if only just now.
                model.objects.filter(**{f"{name}__lte": Now()}).update(**{name: Least(F(name) + back, Now())})
        client = redis.client()
        for key in client.scan_iter("*"):
            if (left := int(client.pttl(key))) > 0:
                client.pexpire(key, left + int(gone * 1000))

    @invariant()
    def they_agree(self) -> None:
        """The rows are the model's."""
        rows = {row.pk: row for row in Delivery.objects.all()}
        assert rows.keys() == {p.id for p in self.promises}
        for p in self.promises:
            row = rows[p.id]
            real = (row.state, row.attempts, row.possibly_duplicated, row.route, row.superseded_at is not None)
            assert real == (p.state, len(p.tries), p.flagged, p.route, p.superseded)
            assert (row.withdrawn_at is not None) == p.withdrawn
        outcomes = dict(Attempt.objects.values_list("id", "outcome"))
        assert outcomes == {each.claim.token: each.outcome for p in self.promises for each in p.tries}

    @invariant()
    def the_promises_are_kept(self) -> None:
        """What no state may say, whatever led to it."""
        for p in self.promises:
            went = [each for each in p.tries if each.outcome == "accepted" and False not in each.reports]
            unsure = [each for each in p.tries if each.outcome == "unknown"]
            if p.state in {"expired", "superseded"}:
                assert not went, "it went out, and the row says that it did not"
                assert not unsure or any(each.told for each in unsure), "it may have gone out"
            may_have_left = [
                each for each in p.tries if each.gateway == "aliyun" and each.outcome in {"accepted", "unknown"}
            ]
            if len(may_have_left) > 1:
                assert p.flagged, "it may be there twice, and the row does not say so"

    @invariant()
    def the_gates_agree(self) -> None:
        """A number's gate is shut exactly as long as the model says, by whom it says."""
        if not redis.client().exists(limits.WARM):
            # Emptied: the gates come back with the next request.
            return
        for mobile in NUMBERS:
            holder, until = self.gates.get(mobile, ("", 0))
            real = cast("bytes | None", redis.client().get(cooldown.key(mobile)))
            assert (real.decode() if real else "") == (holder if until > self.now else "")


@pytest.fixture
def site(db: None, settings: Any) -> Iterator[None]:
    """The settings that the model knows, a Valkey of this process, and a queue that nobody listens to."""
    valkey.ensure(settings.VAR_DIR)
    redis.client().flushdb()
    for name, value in {
        "SMS_COOLDOWN": COOLDOWN, "SMS_CODE_TTL": TTL, "SMS_MAX_TRIES": TRIES, "SMS_PER_HOUR": 10**6,
        "SMS_PER_DAY": 10**6, "SMS_PER_IP_HOUR": 10**6, "SMS_PER_SESSION_HOUR": 10**6, "SMS_PER_PREFIX_HOUR": 10**6,
        "SMS_BUDGET_HOUR": 10**6,
        "SMS_GATEWAYS": ["yuntongxun"], "SMS_AMBIGUOUS": "ask", "SMS_ROUTES": {},
    }.items():  # fmt: skip
        setattr(settings, name, value)
    # Thousands of lines, of which a failure would show every one.
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_whatever_happens_in_whatever_order_the_row_is_the_models(site: None) -> None:
    """Requests, guesses, time, attempts with every outcome, lost leases, the sweeper, reports early, late and twice."""
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            # The same ways each time: by chance some runs try ten times as many as others, and take minutes.
            derandomize=True,
        ),
    )


# What `issue` is asked for, where the machine above does not ask.
WISH: dict[str, Any] = {
    "mobile": NUMBERS[0],
    "purpose": "login",
    "browser": BROWSERS[0],
    "address": "c" * 32,
    "language": "en",
}


def test_a_request_that_may_have_left_is_unknown_and_not_superseded(site: None) -> None:
    """Found by a chaos run: a newer request took it for unsent, although its first attempt might be on the phone."""
    first = codes.issue(**WISH)
    claim = delivery.claim(first.pk)
    assert claim
    assert delivery.record(claim, Answer(Outcome.UNKNOWN)) == "retrying"
    pass_cooldown()
    codes.issue(**WISH)
    first.refresh_from_db()
    assert (first.state, first.superseded_at is not None) == ("unknown", True)


def test_a_request_that_certainly_has_not_left_is_superseded(site: None) -> None:
    """The other half: nothing of it can be anywhere, so the page may say that the newer one takes its place."""
    first = codes.issue(**WISH)
    claim = delivery.claim(first.pk)
    assert claim
    assert delivery.record(claim, Answer(Outcome.NOT_SENT)) == "retrying"
    pass_cooldown()
    codes.issue(**WISH)
    first.refresh_from_db()
    assert first.state == "superseded"


@pytest.mark.parametrize(
    ("said", "state"),
    [(Outcome.NOT_SENT, "superseded"), (Outcome.UNKNOWN, "unknown"), (Outcome.ACCEPTED, "sent")],
)
def test_what_is_taken_back_while_it_is_sent_is_not_tried_again(site: None, said: Outcome, state: str) -> None:
    """It cannot be stopped any more, but it has no second attempt; the number keeps its cooldown, and nobody a code."""
    live_settings.SMS_AMBIGUOUS = "resend"
    row = codes.issue(**WISH)
    claim = delivery.claim(row.pk)
    assert claim
    assert withdraw.withdraw(row.pk)
    row.refresh_from_db()
    assert row.state == "sending", "somebody holds it"
    assert delivery.record(claim, Answer(said)) == state
    pass_time = Delivery.objects.filter(pk=row.pk).update
    pass_time(due_at=F("due_at") - timedelta(seconds=RETRY + 1))
    assert delivery.claim(row.pk) is None
    with pytest.raises(codes.TooFrequent):
        codes.issue(**WISH)
    with pytest.raises(codes.Expired):
        codes.check(browser=BROWSERS[0], purpose="login", code=row.code, address="c" * 32)
    assert not withdraw.withdraw(row.pk), "once"


def test_the_row_minds_the_cooldown_when_redis_has_forgotten_it(site: None) -> None:
    """Found by a chaos run: Redis was emptied between the gate of one request and its row, and a second came in."""
    first = codes.issue(**WISH)
    # What is left when the gates were counted anew before the first one's row was there.
    redis.client().delete(cooldown.key(first.mobile))
    with pytest.raises(codes.TooFrequent) as refused:
        codes.issue(**WISH | {"browser": BROWSERS[1]})
    assert COOLDOWN - 5 < refused.value.seconds <= COOLDOWN
    assert Delivery.objects.count() == 1
    assert not redis.client().exists(cooldown.key(first.mobile)), "nobody waits longer than the row says"


def pass_cooldown() -> None:
    """Make every cooldown a thing of the past, in Redis and in the rows."""
    for key in redis.client().scan_iter("*:cooldown:*"):
        redis.client().delete(key)
    moved = timedelta(seconds=COOLDOWN + 1)
    Delivery.objects.update(created_at=F("created_at") - moved, resend_at=F("resend_at") - moved)
