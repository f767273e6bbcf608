"""What the gateways share: one exchange with a provider, and tables that say what its status codes mean.

An exchange always ends in an Answer. Only words of the expected form are taken from what a provider writes, because
they end up in the database and on the operator's screen.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import phonenumbers

from tasks.gateways import Answer, Forged, Outcome, Reason, http

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """What is posted. It holds the account's signature, the number and the code, so it has no repr to speak of."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)


class Meaning(NamedTuple):
    """What one of a provider's status codes means to us."""

    outcome: Outcome
    reason: Reason
    # In words, for the operator.
    detail: str


# Codes with blanks between them. A star at the end stands for any rest, and the longest match counts.
Row = tuple[str, Outcome, Reason, str]

# A code that we do not know is an error, but not one that says "not sent". If it were called refused, the cooldown
# would be released and another gateway could send the code a second time. So the outcome is unknown.
UNLISTED = Meaning(Outcome.UNKNOWN, Reason.OPERATOR, "a status code that is not in our list")
# The same, where the provider says by its own rules that it has not taken the message.
UNLISTED_REFUSAL = Meaning(Outcome.REFUSED, Reason.OPERATOR, "refused with a code that is not in our list")


def expand(table: tuple[Row, ...]) -> dict[str, Meaning]:
    """Return a table as a dict, by code."""
    rows = ((codes.split(), Meaning(outcome, reason, detail)) for codes, outcome, reason, detail in table)
    return {code: meaning for codes, meaning in rows for code in codes}


def look_up(meanings: Mapping[str, Meaning], code: str) -> Meaning:
    """Return what a code means: its own entry, else that of the longest beginning that has one."""
    if code in meanings:
        return meanings[code]
    for end in range(len(code), 0, -1):
        if meaning := meanings.get(f"{code[:end]}*"):
            return meaning
    return UNLISTED


def report_reason(meanings: Mapping[str, Meaning], code: str) -> Reason:
    """Return the reason of a delivery that a report calls failed.

    Carriers have codes without number for a handset that is off or a number that is out of service. What is not in the
    table counts as one of them: the visitor is asked to check the number.
    """
    meaning = look_up(meanings, code)
    return Reason.NUMBER if meaning is UNLISTED else meaning.reason


def exchange(make: Callable[[], Request], read: Callable[[http.Reply], Answer]) -> Answer:
    """Make a request, post it and read the reply. Never raises."""
    try:
        request = make()
    except phonenumbers.NumberParseException:
        return Answer(Outcome.REFUSED, Reason.NUMBER, detail="not a phone number")
    except Exception as exc:  # noqa: BLE001 - a gateway answers and never raises
        log_unforeseen(exc)
        return Answer(Outcome.REFUSED, Reason.OPERATOR, detail="the request could not be made; see the log")
    try:
        return read(http.post(request.url, request.headers, request.content))
    except http.NotSent as exc:
        return Answer(Outcome.NOT_SENT, detail=str(exc))
    except http.Lost as exc:
        return Answer(Outcome.UNKNOWN, detail=str(exc))
    except Exception as exc:  # noqa: BLE001 - as above, and by now something may have left
        log_unforeseen(exc)
        return Answer(Outcome.UNKNOWN, Reason.OPERATOR, detail="something unforeseen; see the log")


def interpret(reply: http.Reply, code: str, provider_id: str, meanings: Mapping[str, Meaning]) -> Answer:
    """Return what a reply means: the provider's own code decides, or the HTTP status if there is no code."""
    success = 200 <= reply.status < 300
    redirect = 300 <= reply.status < 400
    meaning = look_up(meanings, code)
    # An unlisted code with HTTP 429: the status says enough.
    if code and not redirect and not (meaning is UNLISTED and reply.status == 429):
        outcome, reason, detail = meaning
        if outcome is Outcome.ACCEPTED and not success:
            # "Accepted" with a status that says error: one of the two is wrong, and we cannot tell which.
            return Answer(Outcome.UNKNOWN, Reason.OPERATOR, provider_id, code, f"{detail}, but HTTP {reply.status}")
        return Answer(outcome, reason, provider_id, code, detail)
    detail = f"HTTP {reply.status} without the provider's answer"
    if reply.status == 429:
        return Answer(Outcome.NOT_SENT, provider_code=code, detail="too many requests at once (HTTP 429)")
    # The answer comes from a proxy or from the provider's front, and does not say how far the request came.
    # A 4xx or a redirect does not pass: most often the base URL is wrong.
    passes = success or reply.status == 408 or reply.status >= 500
    return Answer(Outcome.UNKNOWN, Reason.NONE if passes else Reason.OPERATOR, detail=detail)


def read_object(body: bytes) -> dict[str, object]:
    """Return a body that is a JSON object, else an empty one."""
    value = _read_json(body)
    return value if isinstance(value, dict) else {}


def read_report(body: bytes) -> list[dict[str, object]]:
    """Return the entries of a report that is a JSON array of objects. Raises Forged.

    An entry that is no object does not cost the others: a provider that is refused reports the same array again.
    """
    entries = _read_json(body)
    if not isinstance(entries, list):
        raise Forged("not an array of objects")
    objects = [entry for entry in entries if isinstance(entry, dict)]
    if entries and not objects:
        raise Forged("not an array of objects")
    log_skipped(len(entries) - len(objects))
    return objects


def log_skipped(count: int) -> None:
    """Log how many entries of a report could not be read. Their content stays out of the log: it holds numbers."""
    if count:
        logger.warning("%d entries of a report were skipped: not in the documented form", count)


def _read_json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def word(value: object, form: str) -> str:
    """Return a text of that form, and of anything else nothing."""
    return value if isinstance(value, str) and re.fullmatch(form, value) else ""


# Our own reference, when a provider gives it back. Other programs may send through the same account with theirs.
REFERENCE = r"[0-9A-Za-z]{32}"
# A carrier's word, such as DELIVRD or MK:0001.
CARRIER = r"[0-9A-Za-z_:.-]{1,64}"


def log_unforeseen(exc: Exception) -> None:
    """Log where an unforeseen exception came from, but not its text, which may hold a signed URL or a token."""
    last = exc.__traceback__
    while last and last.tb_next:
        last = last.tb_next
    place = f"{last.tb_frame.f_code.co_filename}:{last.tb_lineno}" if last else "?"
    logger.error("A send failed in a way nobody foresaw: %s at %s", type(exc).__name__, place)
