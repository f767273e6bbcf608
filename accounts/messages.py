"""The sentences of an answer, in the language of the request."""

from __future__ import annotations

import math
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.phone_numbers import example, regions

# Countries that a sentence names at most.
MOST_NAMED = 4


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence for the visitor, and the field that it is about."""

    text: str
    field: str = ""
    # Not an error: the page is working on the request.
    calm: bool = False
    # How long the sentence is true (seconds). After that the page tells the visitor to try again.
    seconds: int = 0


def errmsg(word: str, *, seconds: float = 0, tries_left: int | None = None, field: str = "") -> str:
    """Return what a stable word means, for people, in the request's language. `field` is the one that it is about."""
    match word:
        case "PARAM_MISSING":
            return _missing(field)
        case "USERNAME_FORMAT":
            return _("Enter your username (5 to 20 letters, digits, - or _) or your mobile number.")
        case "PASSWORD_FORMAT":
            return _("This password is too long. Check it and try again.")
        case "MOBILE_FORMAT":
            return _("We can't send text messages to this number. Enter a mobile number from %(countries)s.") % {
                "countries": _countries()
            }
        case "CREDENTIALS" if tries_left:
            return ngettext(
                "Incorrect username or password. %(tries)d attempt left before sign-in is paused.",
                "Incorrect username or password. %(tries)d attempts left before sign-in is paused.",
                tries_left,
            ) % {"tries": tries_left}
        case "CREDENTIALS" if seconds:
            return _("Incorrect username or password. Try again in %(time)s.") % {"time": how_long(seconds)}
        case "CREDENTIALS":
            return _("Incorrect username or password.")
        case "PASSWORD_LIMIT":
            return _("Too many incorrect passwords. Try again in %(time)s, or sign in with a text message.") % {
                "time": how_long(seconds)
            }
        case "CODE_LIMIT":
            return _("Too many incorrect codes. Try again in %(time)s, or sign in with your password.") % {
                "time": how_long(seconds)
            }
        case "CODES_SHUT":
            return _("Codes for this number are locked after too many incorrect ones. Sign in with your password.")
        case "SMS_TOO_FREQUENT":
            # No seconds: the countdown beside it has them, and this sentence would keep its first.
            return _("We've just sent a code. You can request another when the timer ends.")
        case "SMS_LIMIT":
            return _("Too many codes requested. Try again in %(time)s, or sign in with your password.") % {
                "time": how_long(seconds)
            }
        case "SMS_CODE_WRONG" if tries_left is None:
            return _("Enter the 6-digit code.")
        case "SMS_CODE_WRONG" if tries_left:
            return ngettext(
                "Incorrect code. %(tries)d attempt left.", "Incorrect code. %(tries)d attempts left.", tries_left
            ) % {"tries": tries_left}
        case "SMS_CODE_WRONG":
            return _("Incorrect code, and no attempts left. You can request a new code when the timer ends.")
        case "SMS_CODE_EXPIRED":
            return _("This code is no longer valid. Request a new code.")
        case "PROOF_NEEDED":
            return _("Just a moment: checking that you're human.")
        case "PROOF_AGAIN":
            return _("The check didn't succeed. Tick the box and try again.")
        case "NO_ACCOUNT":
            return _("There's no account with this number.")
        case "UNAVAILABLE":
            return _("We're having technical problems, and nothing was sent. Please try again in a moment.")
        case _:
            return _("We couldn't read this request.")


def _missing(field: str) -> str:
    """Name the field that is empty."""
    match field:
        case "username":
            return _("Enter your username or mobile number.")
        case "password":
            return _("Enter your password.")
        case "mobile":
            return _("Enter your mobile number.")
        case "code":
            return _("Enter the 6-digit code from the text message.")
        case "current":
            return _("Enter your current password.")
        case "new":
            return _("Enter a new password.")
        case _:
            return _("Please fill in all required fields.")


def _countries() -> str:
    """Return where numbers get codes: "China (+86), for example 138 0013 8000", or a list of the first countries."""
    places = [f"{region.country} (+{region.code})" for region in regions()]
    if len(places) == 1:
        return _("%(country)s, for example %(number)s") % {"country": places[0], "number": example()}
    if len(places) > MOST_NAMED:
        more = len(places) - MOST_NAMED
        places[MOST_NAMED:] = [_("%(number)d other countries") % {"number": more}]
    return _(" or ").join([_(", ").join(places[:-1]), places[-1]])


def how_long(seconds: float) -> str:
    """Return how long to wait, as one says it: in words that stay true while they are read."""
    if seconds <= 60:
        return _("less than a minute")
    return _("%(minutes)d minutes") % {"minutes": math.ceil(seconds / 60)}


def withdrawn(mobile: str, *, gone: bool) -> Notice:
    """Return what to say of a request that was taken back. `mobile` is masked; `gone`: its SMS may have left."""
    if gone:
        text = _("A message may still reach %(mobile)s, but its code won't work. Enter the correct number.")
    else:
        text = _("Nothing will be sent to %(mobile)s. Enter the correct number.")
    return Notice(text % {"mobile": mobile}, calm=True)
