"""What the providers' dialects share.

An exchange always ends in an Answer. A table says what each of a provider's codes means to us. Of what a provider
writes, only words of the expected form get through, because they end up in the database and before the operator's eyes.
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


class Verdict(NamedTuple):
    """What one of a provider's codes means to us."""

    outcome: Outcome
    reason: Reason
    meaning: str


# Codes with blanks between them. A star at the end stands for any rest, and the longest match counts.
Row = tuple[str, Outcome, Reason, str]

# A code that we do not know is an error, but not one that says "not sent". Calling it refused would give the user the
# cooldown back and let another gateway send the code a second time, so it is nobody-knows, and the operator's to read.
UNLISTED = Verdict(Outcome.UNKNOWN, Reason.OPERATOR, "a status code that is not in our list")
# The same, where the provider says by its own rules that it has not taken the message.
UNLISTED_REFUSAL = Verdict(Outcome.REFUSED, Reason.OPERATOR, "refused with a code that is not in our list")


def expand(table: tuple[Row, ...]) -> dict[str, Verdict]:
    """Return a table's verdicts by code."""
    rows = ((codes.split(), Verdict(outcome, reason, meaning)) for codes, outcome, reason, meaning in table)
    return {code: verdict for codes, verdict in rows for code in codes}


def look_up(verdicts: Mapping[str, Verdict], code: str) -> Verdict:
    """Return what a code means: its own entry, else that of the longest beginning that has one."""
    if code in verdicts:
        return verdicts[code]
    for end in range(len(code), 0, -1):
        if verdict := verdicts.get(f"{code[:end]}*"):
            return verdict
    return UNLISTED


def exchange(make: Callable[[], Request], read: Callable[[http.Reply], Answer]) -> Answer:
    """Make a request, post it and read the reply. Never raises."""
    try:
        request = make()
    except phonenumbers.NumberParseException:
        return Answer(Outcome.REFUSED, Reason.NUMBER, detail="not a phone number")
    except Exception as exc:  # noqa: BLE001 - the one door: an answer, never an exception
        log_place(exc)
        return Answer(Outcome.REFUSED, Reason.OPERATOR, detail="the request could not be made; see the log")
    try:
        return read(http.post(request.url, request.headers, request.content))
    except http.NotSent as exc:
        return Answer(Outcome.NOT_SENT, detail=str(exc))
    except http.Lost as exc:
        return Answer(Outcome.UNKNOWN, detail=str(exc))
    except Exception as exc:  # noqa: BLE001 - as above, and by now something may have left
        log_place(exc)
        return Answer(Outcome.UNKNOWN, Reason.OPERATOR, detail="something unforeseen; see the log")


def judge(reply: http.Reply, code: str, provider_id: str, verdicts: Mapping[str, Verdict]) -> Answer:
    """Decide what a reply means: the provider's own code first, the HTTP status where there is none."""
    success = 200 <= reply.status < 300
    redirect = 300 <= reply.status < 400
    verdict = look_up(verdicts, code)
    # A code that we do not know under 429: the status says enough.
    if code and not redirect and not (verdict is UNLISTED and reply.status == 429):
        outcome, reason, meaning = verdict
        if outcome is Outcome.ACCEPTED and not success:
            # "Accepted" under a status that says error: one of the two is wrong, and we cannot tell which.
            return Answer(Outcome.UNKNOWN, Reason.OPERATOR, provider_id, code, f"{meaning}, but HTTP {reply.status}")
        return Answer(outcome, reason, provider_id, code, meaning)
    detail = f"HTTP {reply.status} without the provider's answer"
    if reply.status == 429:
        return Answer(Outcome.NOT_SENT, provider_code=code, detail="too many requests at once (HTTP 429)")
    # Something between us and the provider spoke, or its front did, and it does not say how far the request came.
    # A 4xx or a redirect will not mend itself: most often it is a wrong base URL.
    mends_itself = success or reply.status == 408 or reply.status >= 500
    return Answer(Outcome.UNKNOWN, Reason.NONE if mends_itself else Reason.OPERATOR, detail=detail)


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
    log_odd(len(entries) - len(objects))
    return objects


def log_odd(count: int) -> None:
    """Log how many entries of a report could not be read. What they say stays out of the log: it holds numbers."""
    if count:
        logger.warning("%d entries of a report were passed over: not of the documented form", count)


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


def log_place(exc: Exception) -> None:
    """Log where an unforeseen exception came from, not what it says: its text may hold a signed URL or a token."""
    last = exc.__traceback__
    while last and last.tb_next:
        last = last.tb_next
    place = f"{last.tb_frame.f_code.co_filename}:{last.tb_lineno}" if last else "?"
    logger.error("A send failed in a way nobody foresaw: %s at %s", type(exc).__name__, place)
