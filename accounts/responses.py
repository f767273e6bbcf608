"""One answer, in the form that was asked for: JSON for a program, leaves for htmx, the page for everybody else."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render, resolve_url
from django.template.loader import render_to_string
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django_htmx.http import HttpResponseClientRedirect

from accounts.live.state import State, leaves
from accounts.phone_numbers import example
from project.web.http import Request

PAGE = "accounts/login.html"


@dataclass(frozen=True, slots=True)
class Message:
    """A sentence for the visitor, by the field that it is about."""

    text: str
    field: str = ""
    # Nothing is wrong: the page is at work.
    calm: bool = False
    # For so long the sentence is true; then the page says that the visitor may try again.
    seconds: int = 0


def wants_json(request: HttpRequest) -> bool:
    """Tell whether the caller is a program: it accepts JSON and would not rather have a page."""
    return request.get_preferred_type(["text/html", "application/json"]) == "application/json"


def errmsg(word: str, *, seconds: float = 0, tries_left: int | None = None) -> str:
    """Return what a stable word means, for people, in the request's language."""
    match word:
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
            # No seconds: the countdown beside it has them, and this sentence would keep its first.
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
    """Return how long to wait, as one says it: in words that stay true while they are read."""
    if seconds <= 60:
        return _("less than a minute")
    return _("%(minutes)d min") % {"minutes": math.ceil(seconds / 60)}


def withdrawn(mobile: str, *, gone: bool) -> Message:
    """Return what to say of a request that was taken back. `mobile` is masked; `gone`: its SMS may have left."""
    if gone:
        text = _("A message may still reach %(mobile)s, but its code no longer works. Please write the right number.")
    else:
        text = _("Nothing will be sent to %(mobile)s. Please write the right number.")
    return Message(text % {"mobile": mobile}, calm=True)


def state_reply(
    request: Request, state: State, *, place: str, status: int, message: Message | None = None
) -> HttpResponse:
    """Answer with where things stand. `place` is where the message goes; without one it is cleared."""
    if wants_json(request):
        return JsonResponse({"code": "OK", "errmsg": "", **state.as_json()}, status=status)
    if request.htmx:
        # A session that began with this request has no socket yet: #live makes the page open one.
        names = ["delivery", "countdown", *(["live"] if request.session.modified else [])]
        return HttpResponse(leaves(state, *names) + _message(place, message), status=status)
    return _page(request, status, state, {f"{place}_message": message})


def refusal(
    request: Request,
    word: str,
    *,
    place: str,
    status: int = 422,
    field: str = "",
    state: State | None = None,
    seconds: float = 0,
    tries_left: int | None = None,
    text: str = "",
    page: Callable[[Message], HttpResponse] | None = None,
) -> HttpResponse:
    """Answer no: a stable word for programs, a sentence for people, and the state that still holds.

    `text` is a sentence in place of the word's own. `page` makes the whole page, which is else the login's.
    """
    # A 503 comes with a guess, and who has tries left need not wait.
    wait = 0 if status == 503 or tries_left else math.ceil(seconds)
    message = Message(text or errmsg(word, seconds=seconds, tries_left=tries_left), field, seconds=wait)
    response: HttpResponse
    if wants_json(request):
        body: dict[str, Any] = {"code": word, "errmsg": message.text, **(state.as_json() if state else {})}
        if tries_left is not None:
            body["tries_left"] = tries_left
        response = JsonResponse(body, status=status)
    elif request.htmx:
        shown = leaves(state, "delivery", "countdown") if state else ""
        response = HttpResponse(shown + _message(place, message), status=status)
    elif page:
        response = page(message)
    else:
        response = _page(request, status, state, {f"{place}_message": message})
    if status in {429, 503}:
        response["Retry-After"] = str(max(1, math.ceil(seconds)))
    return response


def proof_needed(request: Request, *, place: str, again: bool = False) -> HttpResponse:
    """Ask for a proof of humanity first (428, RFC 6585). A page works it out and sends its form again by itself.

    `again`: one was sent and did not count. Then the page waits for the visitor, or it would go round for ever.
    """
    message = Message(errmsg("PROOF_AGAIN" if again else "PROOF_NEEDED"), calm=not again)
    when = "again" if again else "now"
    if wants_json(request):
        body = {"code": "PROOF_NEEDED", "errmsg": message.text, "proof": resolve_url("proof")}
        return JsonResponse(body, status=428)
    if request.htmx:
        leaf = render_to_string("proof.html", {"place": place, "when": when, "oob": True})
        return HttpResponse(_message(place, message) + leaf, status=428)
    return _page(request, 428, None, {f"{place}_message": message, f"{place}_proof": when})


def unreadable(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer what cannot be read: too long, or not what it says it is. The body is not looked at again."""
    if wants_json(request):
        return JsonResponse({"code": "BAD_REQUEST", "errmsg": errmsg("BAD_REQUEST")}, status=400)
    return HttpResponse(render_to_string("400.html"), status=400)


def away(request: HttpRequest) -> HttpResponse:
    """Answer that a part is missing without which no page can be made. The page's script has words of its own."""
    response: HttpResponse
    if wants_json(request):
        response = JsonResponse({"code": "UNAVAILABLE", "errmsg": errmsg("UNAVAILABLE")}, status=503)
    elif request.headers.get("HX-Request") == "true":
        response = HttpResponse(status=503)
    else:
        response = HttpResponse(render_to_string("503.html", {"words": errmsg("UNAVAILABLE")}), status=503)
    response["Retry-After"] = "5"
    return response


def gone_to(request: Request, url: str, **facts: str) -> HttpResponse:
    """Answer yes and send the visitor on; a program is told where it could go."""
    if wants_json(request):
        return JsonResponse({"code": "OK", "errmsg": "", "next": url, **facts})
    if request.htmx:
        return HttpResponseClientRedirect(url)
    return HttpResponseRedirect(url)


def _message(place: str, message: Message | None) -> str:
    """Return a form's message as a leaf."""
    return _said(place, message, get_language())


@lru_cache(maxsize=256)
def _said(place: str, message: Message | None, _language: str | None) -> str:
    context = {"message_id": f"{place}-message", "message": message, "oob": True}
    return render_to_string("live.html#message", context)


def _page(request: HttpRequest, status: int, state: State | None, messages: dict[str, Any]) -> HttpResponse:
    """Return the whole login page, with what the visitor typed but the password and the code."""
    context: dict[str, Any] = {name: request.POST.get(name, "") for name in ("username", "mobile", "region", "next")}
    if state:
        context["state"] = replace(state, username=request.user.get_username())
    return render(request, PAGE, context | messages, status=status)
