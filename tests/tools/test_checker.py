"""The checker of the chaos runs can fail: it finds what a sender without rows does, and every kind of wrong ledger."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.tools.chaos import plain
from tests.tools.chaos.checker import BEHIND, check, figures
from tests.tools.chaos.record import Accepted, Arrived, Guess, Heard, Leak, Record, Row, Tab, Try

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

AT = 1_795_000_000.0
HERS, HIS = "+8613800138000", "+8613800138001"


def row(
    identifier: str, mobile: str, browser: str, state: str, created_at: float, resend_at: float, **more: Any
) -> Row:
    """Make a delivery, by default one that is not flagged."""
    return Row(**{
        "id": identifier, "mobile": mobile, "browser": browser, "state": state, "created_at": created_at,
        "resend_at": resend_at, "possibly_duplicated": False, **more,
    })  # fmt: skip


def good() -> Record:
    """Return the record of a run in which everything that may happen has happened, and nothing that may not."""
    return Record(
        seed=7,
        cooldown=6,
        patience=30,
        healed_at=AT + 20,
        accepted=[Accepted(AT + 0.1, HERS, AT), Accepted(AT + 7.1, HERS, AT + 7), Accepted(AT + 1.1, HIS, AT + 1)],
        rows=[
            row(
                "a" * 32,
                HERS,
                "hers",
                "sent",
                AT,
                AT + 6,
                attempts=2,
                possibly_duplicated=True,
                used=True,
                ended_at=AT + 20,
            ),
            row("b" * 32, HERS, "hers", "failed", AT + 7, AT + 8, attempts=1, ended_at=AT + 20),
            row("c" * 32, HIS, "his", "unknown", AT + 1, AT + 7, attempts=1, ended_at=AT + 30),
            row("d" * 32, HIS, "his", "superseded", AT + 8, AT + 14, attempts=0, ended_at=AT + 21),
            # Asked for, and the answer was lost.
            row("e" * 32, HIS, "his", "sent", AT + 15, AT + 21, attempts=1, ended_at=AT + 21),
        ],
        tries=[
            Try("1" * 32, "a" * 32, 1, "aliyun", "unknown", AT + 0.2),
            Try("2" * 32, "a" * 32, 2, "aliyun", "accepted", AT + 5.2, "sid-2"),
            Try("3" * 32, "b" * 32, 1, "aliyun", "refused", AT + 7.2),
            Try("4" * 32, "c" * 32, 1, "aliyun", "unknown", AT + 1.2),
            Try("5" * 32, "e" * 32, 1, "aliyun", "accepted", AT + 15.2, "sid-5"),
        ],
        arrived=[
            Arrived(AT + 0.3, HERS, "111111", "a" * 32, "aliyun", "sid-1"),
            Arrived(AT + 5.3, HERS, "111111", "a" * 32, "aliyun", "sid-2"),
            Arrived(AT + 15.3, HIS, "555555", "e" * 32, "aliyun", "sid-5"),
        ],
        heard=[
            Heard(AT + 0.3, "a" * 32, "aliyun"),
            Heard(AT + 5.3, "a" * 32, "aliyun"),
            Heard(AT + 7.3, "b" * 32, "aliyun"),
            Heard(AT + 15.3, "e" * 32, "aliyun"),
        ],
        guesses=[
            *(Guess(AT + n, AT + n, HERS, "hers", f"00000{n}", "SMS_CODE_WRONG", 4 - n, AT) for n in range(4)),
            Guess(AT + 5.5, AT + 5.6, HERS, "hers", "111111", "OK", None, AT),
            Guess(AT + 5.5, AT + 5.6, HERS, "hers", "111111", "SMS_CODE_EXPIRED", 0, AT),
        ],
        tabs=[Tab("hers", 3.0, ("", 2), ("", 2)), Tab("his", BEHIND, ("sent", 1), ("sent", 1))],
    )


def lost_row(record: Record) -> None:
    del record.rows[1], record.tries[2], record.heard[2]


def never_ends(record: Record) -> None:
    record.rows[2] = replace(record.rows[2], state="sending", ended_at=None)


def silent_end(record: Record) -> None:
    # Nobody had an answer for this one; its row is a promise all the same.
    record.rows[4] = replace(record.rows[4], state="queued", ended_at=None)


def too_late(record: Record) -> None:
    record.rows[2] = replace(record.rows[2], ended_at=AT + 20 + 30.5)


def no_attempt(record: Record) -> None:
    del record.tries[4]


def attempt_afterwards(record: Record) -> None:
    record.tries[4] = replace(record.tries[4], started_at=AT + 15.4)


def attempt_elsewhere(record: Record) -> None:
    record.tries[4] = replace(record.tries[4], gateway="yuntongxun", provider_id="")


def one_attempt_twice(record: Record) -> None:
    record.tries.append(replace(record.tries[3], id="9" * 32))


def request_without_attempt(record: Record) -> None:
    record.heard.append(Heard(AT + 9, "b" * 32, "aliyun"))


def invented(record: Record) -> None:
    record.tries[4] = replace(record.tries[4], provider_id="sid-9")


def silent_duplicate(record: Record) -> None:
    record.rows[0] = replace(record.rows[0], possibly_duplicated=False)


def another_code(record: Record) -> None:
    record.arrived[0] = replace(record.arrived[0], code="222222")


def from_nowhere(record: Record) -> None:
    record.arrived.append(Arrived(AT + 9, HERS, "999999", "9" * 32, "aliyun"))


def failed_but_there(record: Record) -> None:
    record.arrived.append(Arrived(AT + 7.3, HERS, "333333", "b" * 32, "aliyun"))


def superseded_but_there(record: Record) -> None:
    record.tries.append(Try("6" * 32, "d" * 32, 1, "aliyun", "unknown", AT + 8.2))
    record.arrived.append(Arrived(AT + 8.3, HIS, "444444", "d" * 32, "aliyun"))


def expired_but_there(record: Record) -> None:
    superseded_but_there(record)
    record.rows[3] = replace(record.rows[3], state="expired")


def sent_but_not_there(record: Record) -> None:
    record.rows[2] = replace(record.rows[2], state="sent")


def delivered_but_not_there(record: Record) -> None:
    record.rows[2] = replace(record.rows[2], state="delivered")


def too_soon(record: Record) -> None:
    record.rows[1] = replace(record.rows[1], created_at=AT + 5.5)
    record.accepted[1] = Accepted(AT + 5.6, HERS, AT + 5.5)


def six_guesses(record: Record) -> None:
    record.guesses.append(Guess(AT + 4, AT + 4, HERS, "hers", "000009", "SMS_CODE_WRONG", 0, AT))


def used_twice(record: Record) -> None:
    record.guesses[5] = replace(record.guesses[5], word="OK")


def in_without_a_message(record: Record) -> None:
    record.guesses[4] = replace(record.guesses[4], code="123456")


def in_before_the_message(record: Record) -> None:
    record.guesses[4] = replace(record.guesses[4], began=AT + 0.1, ended=AT + 0.2)


def in_with_somebody_elses(record: Record) -> None:
    record.guesses[4] = replace(record.guesses[4], browser="his")


def in_though_failed(record: Record) -> None:
    record.guesses.append(Guess(AT + 8, AT + 8, HERS, "hers", "333333", "OK", None, AT + 7))
    failed_but_there(record)


def stale_page(record: Record) -> None:
    record.tabs.append(Tab("hers", 10.1, ("sending", 1), ("sent", 2)))


def leaked(record: Record) -> None:
    record.leaks.append(Leak("a code", "the log of web0"))


WRONG: list[tuple[Callable[[Record], None], str, str]] = [
    (lost_row, "I1", "lost"),
    (never_ends, "I1", "lost"),
    (silent_end, "I1", "lost"),
    (too_late, "I1", "late"),
    (no_attempt, "I2", "message without an attempt"),
    (attempt_afterwards, "I2", "message without an attempt"),
    (attempt_elsewhere, "I2", "message without an attempt"),
    (one_attempt_twice, "I2", "twice"),
    (request_without_attempt, "I2", "request without an attempt"),
    (invented, "I2", "invented"),
    (from_nowhere, "I2", "message without a row"),
    (silent_duplicate, "I3", "silent duplicate"),
    (another_code, "I3", "two codes"),
    (failed_but_there, "I4", "untrue"),
    (superseded_but_there, "I4", "untrue"),
    (expired_but_there, "I4", "untrue"),
    (sent_but_not_there, "I5", "untrue"),
    (delivered_but_not_there, "I5", "untrue"),
    (too_soon, "I6", "too soon"),
    (six_guesses, "I7", "guessed"),
    (used_twice, "I7", "used twice"),
    (in_without_a_message, "I8", "from nowhere"),
    (in_before_the_message, "I8", "from nowhere"),
    (in_with_somebody_elses, "I8", "not theirs"),
    (in_though_failed, "I8", "untrue"),
    (stale_page, "I9", "stale"),
    (leaked, "I10", "leak"),
]


def test_a_run_in_which_nothing_went_wrong_is_right() -> None:
    """Or what follows means nothing."""
    record = good()
    assert check(record) == []
    got = figures(record, [])
    assert (got.accepted, got.messages, got.flagged_duplicates, got.signed_in) == (3, 3, 1, 1)


@pytest.mark.parametrize(("spoil", "invariant", "kind"), WRONG, ids=[spoil.__name__ for spoil, _, _ in WRONG])
def test_every_kind_of_wrong_ledger_is_found(spoil: Callable[[Record], None], invariant: str, kind: str) -> None:
    """Each broken promise is one line with the seed, the invariant and whom it is about, and no full number."""
    record = good()
    spoil(record)
    found = check(record)
    assert (invariant, kind) in {(violation.invariant, violation.kind) for violation in found}
    for violation in found:
        assert str(violation).startswith(f"seed 7 {violation.invariant} ")
        assert "\n" not in str(violation)
        assert HERS not in str(violation)
        assert "111111" not in str(violation)


def test_every_promise_has_a_wrong_ledger() -> None:
    """Nobody adds an invariant without a proof that it can be broken."""
    assert {invariant for _, invariant, _ in WRONG} == {f"I{n}" for n in range(1, 11)}


def test_a_task_that_keeps_no_row_loses_messages_and_doubles_them_in_silence(tmp_path: Path) -> None:
    """A plain Huey task with `retries=3` under the same kills, with its queue in a Valkey that forgets nothing."""
    record = plain.run(5, tmp_path / "plain")
    found = check(record)
    got = figures(record, found)
    assert got.kills >= 5, "or this means nothing"
    assert got.messages >= 30, "or this means nothing: most must arrive"
    assert got.lost > 0
    assert got.silent_duplicates > 0
    lines = [str(violation) for violation in found]
    assert any("I1 lost" in line for line in lines)
    assert any("I3 silent duplicate" in line for line in lines)
