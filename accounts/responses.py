"""One answer in three forms: JSON for a program, leaves for htmx, and a whole page for everybody else."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render, resolve_url
from django.template.loader import render_to_string
from django.utils.translation import get_language
from django_htmx.http import HttpResponseClientRedirect

from accounts.live.render import leaves
from accounts.live.state import State
from accounts.messages import Notice, errmsg
from accounts.phone_numbers import regions
from project.web.http import Request, prefers_json

# What login.html shows of a form that was sent. All of it is always given: a variable that is missing costs a template
# four exceptions each time.
NOTHING_SENT = {
    **dict.fromkeys(("username", "mobile", "region", "next", "known"), ""),
    **dict.fromkeys(("password_message", "code_message", "verify_message", "password_proof", "code_proof"), None),
    "again": False,
}
# The way of the last sign-in, or the one chosen since: a display-only cookie that static/sign-in.js sets as well.
WAY_COOKIE = "way"
WAY_SECONDS = 365 * 86400
BY_PASSWORD, BY_CODE = "password", "code"


def state_reply(
    request: Request, state: State, *, place: str, status: int, message: Notice | None = None, done: str = ""
) -> HttpResponse:
    """Answer with the present state. `place` names the form that shows the message; no message clears it.

    `done` is a sentence for a program's user; a page shows the state itself.
    """
    if prefers_json(request):
        return JsonResponse({"code": "OK", "errmsg": done, **state.as_json()}, status=status)
    if request.htmx:
        # A session that begins with this request has no socket yet: the leaf #live makes the page open one.
        names = ["delivery", "countdown", *(["live"] if request.session.modified else [])]
        return HttpResponse(leaves(state, *names) + _message(place, message), status=status)
    return _page(request, status, state, {f"{place}_message": message})


def refusal(
    request: Request,
    code: str,
    *,
    place: str,
    status: int = 422,
    field: str = "",
    state: State | None = None,
    seconds: float = 0,
    tries_left: int | None = None,
    text: str = "",
    page: Callable[[Notice], HttpResponse] | None = None,
) -> HttpResponse:
    """Refuse a request: an error code for programs, a sentence for people, and the state that still holds.

    `text` replaces the code's own sentence. `page` renders the whole page, by default that of the login.
    """
    # The seconds of a 503 are an estimate, and a visitor who has attempts left need not wait.
    wait = 0 if status == 503 or tries_left else math.ceil(seconds)
    message = Notice(text or errmsg(code, seconds=seconds, tries_left=tries_left, field=field), field, seconds=wait)
    response: HttpResponse
    if prefers_json(request):
        body: dict[str, Any] = {"code": code, "errmsg": message.text, **(state.as_json() if state else {})}
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
    """Ask for a proof of work first (428, RFC 6585). The page computes it and resends its form automatically.

    `again`: the proof that was sent is invalid. The page then waits for the visitor, otherwise it would loop.
    """
    message = Notice(errmsg("PROOF_AGAIN" if again else "PROOF_NEEDED"), calm=not again)
    when = "again" if again else "now"
    if prefers_json(request):
        body = {"code": "PROOF_NEEDED", "errmsg": message.text, "proof": resolve_url("proof")}
        return JsonResponse(body, status=428)
    if request.htmx:
        leaf = render_to_string("proof.html", {"place": place, "when": when, "oob": True})
        return HttpResponse(_message(place, message) + leaf, status=428)
    return _page(request, 428, None, {f"{place}_message": message, f"{place}_proof": when})


def unreadable(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Refuse a body that is too long or malformed (400), without reading it again."""
    if prefers_json(request):
        return JsonResponse({"code": "BAD_REQUEST", "errmsg": errmsg("BAD_REQUEST")}, status=400)
    return HttpResponse(render_to_string("400.html"), status=400)


def away(request: HttpRequest) -> HttpResponse:
    """Answer that the database is unavailable (503). For htmx the body is empty: latchkey.js has the sentence."""
    response: HttpResponse
    if prefers_json(request):
        response = JsonResponse({"code": "UNAVAILABLE", "errmsg": errmsg("UNAVAILABLE")}, status=503)
    elif request.headers.get("HX-Request") == "true":
        response = HttpResponse(status=503)
    else:
        response = HttpResponse(render_to_string("503.html", {"words": errmsg("UNAVAILABLE")}), status=503)
    response["Retry-After"] = "5"
    return response


def gone_to(request: Request, url: str, *, done: str = "", **facts: str) -> HttpResponse:
    """Redirect after a success. A program gets the URL as `next`, and `done`, a sentence for its user."""
    if prefers_json(request):
        return JsonResponse({"code": "OK", "errmsg": done, "next": url, **facts})
    if request.htmx:
        return HttpResponseClientRedirect(url)
    return HttpResponseRedirect(url)


def _message(place: str, message: Notice | None) -> str:
    """Render the message of a form as a leaf."""
    return _message_leaf(place, message, get_language())


@lru_cache(maxsize=256)
def _message_leaf(place: str, message: Notice | None, _language: str | None) -> str:
    context = {"message_id": f"{place}-message", "message": message, "oob": True}
    return render_to_string("live.html#message", context)


def login_page(request: HttpRequest, *, status: int = 200, **shown: Any) -> HttpResponse:
    """Render the sign-in page. `shown` is what a form that was sent adds to it."""
    context = {"regions": regions(), "way": _way(request, shown), "usual_way": request.COOKIES.get(WAY_COOKIE, "")}
    return render(request, "accounts/login.html", NOTHING_SENT | context | shown, status=status)


def _way(request: HttpRequest, shown: dict[str, Any]) -> str:
    """Return the way that the page must begin with: that of the form that was sent, or the one asked for; or ""."""
    if any(shown.get(name) for name in ("password_message", "password_proof")):
        return BY_PASSWORD
    if any(shown.get(name) for name in ("mobile", "code_message", "verify_message", "code_proof", "again")):
        return BY_CODE
    return request.GET.get("way", "")


def _page(request: HttpRequest, status: int, state: State | None, messages: dict[str, Any]) -> HttpResponse:
    """Render the whole login page with what the visitor typed, except for the password and the code."""
    context: dict[str, Any] = {name: request.POST.get(name, "") for name in ("username", "mobile", "region", "next")}
    # Somebody who is signed in has sent a form to prove it again.
    context["again"] = request.user.is_authenticated
    if state:
        context["state"] = replace(state, username=request.user.get_username())
    return login_page(request, status=status, **context, **messages)
