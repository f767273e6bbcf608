"""The sentences of an answer, in the language of the request."""

from __future__ import annotations

import math
from dataclasses import dataclass

from django.utils.translation import gettext as _

from accounts.phone_numbers import example


@dataclass(frozen=True, slots=True)
class Message:
    """A sentence for the visitor, and the field that it is about."""

    text: str
    field: str = ""
    # Not an error: the page is working on the request.
    calm: bool = False
    # How long the sentence is true (seconds). After that the page tells the visitor to try again.
    seconds: int = 0


def errmsg(code: str, *, seconds: float = 0, tries_left: int | None = None) -> str:
    """Return the sentence for an error code of the JSON contract."""
    match code:
        case "PARAM_MISSING":
            return _("Something is missing. Please fill in every field.")
        case "USERNAME_FORMAT":
            return _("Write your username (5 to 20 letters, digits, - or _) or your mobile number.")
        case "PASSWORD_FORMAT":
            return _("This password is too long to be checked.")
        case "MOBILE_FORMAT":
            return _("This is not a mobile number we can send to. Write it like %(number)s.") % {"number": example()}
        case "CREDENTIALS" if tries_left:
            return _("The username or the password is not right. Tries left before a pause: %(tries)d.") % {
                "tries": tries_left
            }
        case "CREDENTIALS" if seconds:
            return _("The username or the password is not right. You can try again in %(time)s.") % {
                "time": how_long(seconds)
            }
        case "CREDENTIALS":
            return _("The username or the password is not right.")
        case "PASSWORD_LIMIT":
            return _("Too many wrong passwords. You can try again in %(time)s, or sign in with a text message.") % {
                "time": how_long(seconds)
            }
        case "CODE_LIMIT":
            return _("Too many wrong codes. You can try again in %(time)s, or use your password.") % {
                "time": how_long(seconds)
            }
        case "CODES_SHUT":
            return _("Codes for this number are switched off after too many wrong ones. Please use your password.")
        case "SMS_TOO_FREQUENT":
            # Without seconds: the countdown beside it shows them, and a number in this sentence would stand still.
            return _("A code was asked for a moment ago. You can ask again when the countdown is over.")
        case "SMS_LIMIT":
            return _("Too many codes for now. Please try again in %(time)s, or use your password.") % {
                "time": how_long(seconds)
            }
        case "SMS_CODE_WRONG" if tries_left is None:
            return _("A code has six digits.")
        case "SMS_CODE_WRONG" if tries_left:
            return _("This is not the code. Tries left: %(tries)d.") % {"tries": tries_left}
        case "SMS_CODE_WRONG":
            return _("This is not the code, and it was the last try. Please ask for a new one.")
        case "SMS_CODE_EXPIRED":
            return _("This code no longer works. Please ask for a new one.")
        case "PROOF_NEEDED":
            return _("One moment: we check that you are no robot.")
        case "PROOF_AGAIN":
            return _("That check did not count. Please tick the box and try once more.")
        case "NO_ACCOUNT":
            return _("There is no account for this number.")
        case "UNAVAILABLE":
            return _("This does not work right now, and nothing was sent. Please try again in a moment.")
        case _:
            return _("This request was not understood.")


def how_long(seconds: float) -> str:
    """Return a duration in words that stay true while they are read."""
    if seconds <= 60:
        return _("less than a minute")
    return _("%(minutes)d min") % {"minutes": math.ceil(seconds / 60)}


def withdrawn(mobile: str, *, gone: bool) -> Message:
    """Return the message for a withdrawn request. `mobile` is masked; `gone`: its SMS may have been sent."""
    if gone:
        text = _("A message may still reach %(mobile)s, but its code no longer works. Please write the right number.")
    else:
        text = _("Nothing will be sent to %(mobile)s. Please write the right number.")
    return Message(text % {"mobile": mobile}, calm=True)
