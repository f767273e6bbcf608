"""Confirmation codes, from issue to use. A code is bound to its number, purpose and browser, and it works once.

decision, issue.lua, announce.lua   Redis decides on a request, in one transaction
request                             issue: the decision, then the row that says that an SMS will be sent
digits                              the six digits, however they were typed or filled in
verification                        check: what a visitor has entered
repetition                          the same code once more, where the answer to the sign-in was lost
cooldown_cookie                     the countdown for a number that somebody else has requested a code for
"""

from __future__ import annotations

from accounts.codes.errors import Expired, LimitReached, Refused, TooFrequent, Unavailable, Wrong
from accounts.codes.request import PURPOSES, issue
from accounts.codes.verification import Verified, check

__all__ = [
    "PURPOSES",
    "Expired",
    "LimitReached",
    "Refused",
    "TooFrequent",
    "Unavailable",
    "Verified",
    "Wrong",
    "check",
    "issue",
]
