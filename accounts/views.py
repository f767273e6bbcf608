"""Sign-in and sign-out. Each view binds the form, makes one call to the domain, and gives one answer."""

from __future__ import annotations

import hashlib
import logging
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib import auth
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse
from django.middleware.csrf import get_token
from django.shortcuts import render, resolve_url
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import codes, messages, responses, sessions
from accounts.backends import claim_of
from accounts.codes import cooldown_cookie, repetition
from accounts.forms import CodeForm, CodeRequestForm, Form, PasswordForm, WithdrawForm, sent
from accounts.live.render import leaves
from accounts.live.state import SESSION_CHANGED, WAIT_CHANGED, browser_of_request, state_of_request, state_of_row
from accounts.models import User
from accounts.phone_numbers import masked
from accounts.sessions import browser_id
from accounts.throttling import failed_attempts, known_devices, proof_of_work
from accounts.throttling.client_ip import hashed_address
from project import redis
from project.live.push import push, push_after
from project.web.http import Request, prefers_json
from tasks import delivery
from tasks.delivery import withdraw as withdrawal

logger = logging.getLogger(__name__)

# The form that shows the message, by the URL that it is sent to.
FORMS = {"/login/": "password", "/code/": "code", "/login/code/": "verify"}
# Where somebody who is signed in was sent on to, for so long.
WENT_ON_COOKIE = "went-on"
WENT_ON_SECONDS = 10


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def login(request: Request) -> HttpResponse:
    """Show the sign-in page; sign in with a username or mobile number and a password."""
    if request.method != "POST":
        return _login_page(request)
    form = PasswordForm(sent(request))
    if not form.is_valid():
        word, field = form.fault()
        return responses.refusal(request, word, place="password", field=field, text=form.why())
    claim = claim_of(form.cleaned_data["username"])
    own = known_devices.knows_account(request, claim.user)
    try:
        # Counted before it is hashed: of a thousand concurrent guesses only the first few cost a hash.
        attempt = failed_attempts.begin(
            "password", claim.subject, hashed_address(request), own=own, proven=_counts_as_proven(form)
        )
    except proof_of_work.Needed:
        return responses.proof_needed(request, place="password", again=bool(form.cleaned_data["altcha"]))
    except failed_attempts.Paused as wait:
        return responses.refusal(request, "PASSWORD_LIMIT", place="password", status=429, seconds=wait.seconds)
    user = auth.authenticate(request, claim=claim, password=form.cleaned_data["password"])
    if user is None:
        attempt.was_wrong()
        return responses.refusal(
            request, "CREDENTIALS", place="password", tries_left=attempt.left, seconds=attempt.pause
        )
    attempt.was_right()
    if user.mobile:
        # The owner has signed in: failed attempts by others no longer lock the codes of this number.
        failed_attempts.forgive("code", user.mobile)
    return _signed_in(request, user, form, responses.BY_PASSWORD)


@never_cache
@require_POST
def code(request: Request) -> HttpResponse:
    """Accept a request for a code by SMS: 202 and the state, once the delivery is recorded."""
    form = CodeRequestForm(sent(request), known=partial(_known_numbers, request))
    if not form.is_valid():
        word, field = form.fault()
        return responses.refusal(request, word, place="code", field=field, text=form.why())
    own = browser_of_request(request)
    try:
        proven = _is_proven(form)
        row = codes.issue(
            mobile=form.cleaned_data["mobile"],
            purpose=form.cleaned_data["purpose"],
            browser=own,
            address=hashed_address(request),
            language=get_language() or settings.LANGUAGE_CODE,
            proven=proven,
            own=known_devices.knows_number(request, form.cleaned_data["mobile"]),
        )
    except codes.TooFrequent as wait:
        return _too_frequent(request, own, form.cleaned_data["mobile"], wait.seconds)
    except codes.LimitReached as wait:
        return responses.refusal(request, "SMS_LIMIT", place="code", status=429, seconds=wait.seconds)
    except failed_attempts.Locked:
        return responses.refusal(request, "CODES_SHUT", place="code", status=403)
    except proof_of_work.Needed:
        return responses.proof_needed(request, place="code", again=bool(form.cleaned_data["altcha"]))
    except (codes.Unavailable, redis.Unavailable):
        return responses.refusal(request, "UNAVAILABLE", place="code", status=503, seconds=5)
    done = _("Your code is on its way.")
    response = responses.state_reply(request, state_of_row(row), place="code", status=202, done=done)
    cooldown_cookie.forget(response, request.COOKIES)
    return response


@never_cache
@require_POST
def check(request: Request) -> HttpResponse:
    """Show the present state with what was typed: "Check again" on a page without JavaScript."""
    return responses.state_reply(request, state_of_request(request), place="code", status=200)


@never_cache
@require_POST
def withdraw(request: Request) -> HttpResponse:
    """Withdraw the latest request, for a wrong number. Another code can be requested at once."""
    form = WithdrawForm(sent(request))
    own = browser_id.of(request.session)
    row = delivery.latest(own) if own else None
    if own is None or not form.is_valid() or (row and not form.means(row.mobile)):
        # An outdated page, which does not show the newer request: the answer shows it.
        return responses.state_reply(request, state_of_request(request), place="code", status=200)
    message = None
    if row and withdrawal.withdraw(row.pk):
        logger.info("delivery %s taken back", row.pk[:8])
        row.refresh_from_db(fields=["state", "withdrawn_at"])
        message = messages.withdrawn(masked(row.mobile), gone=row.state not in withdrawal.STAYED)
    state = state_of_row(row, username=request.user.get_username())
    # Whichever number it was, this page has no more cooldown.
    push(delivery.group(own), WAIT_CHANGED, seconds=0)
    response = responses.state_reply(request, state, place="code", status=200, message=message)
    cooldown_cookie.forget(response, request.COOKIES)
    return response


@never_cache
@require_POST
def login_code(request: Request) -> HttpResponse:
    """Sign in with the code from the SMS. The first verified code of a number creates the account."""
    form = CodeForm(sent(request))
    if not form.is_valid():
        word, field = form.fault()
        return responses.refusal(request, word, place="verify", field=field, text=form.why())
    entered: dict[str, Any] = {
        "browser": browser_of_request(request),
        "code": form.cleaned_data["code"],
        "mobile": form.cleaned_data["mobile"],
        "address": hashed_address(request),
        "is_own": partial(known_devices.knows_number, request),
    }
    try:
        try:
            verified = codes.check(purpose="login", **entered)
        except codes.Expired:
            verified = repetition.check(request, **entered)
    except codes.Wrong as wrong:
        if not wrong.tries_left:
            return _code_is_dead(request, "SMS_CODE_WRONG")
        return responses.refusal(request, "SMS_CODE_WRONG", place="verify", field="code", tries_left=wrong.tries_left)
    except codes.Expired:
        return _code_is_dead(request, "SMS_CODE_EXPIRED")
    except failed_attempts.Paused as wait:
        return responses.refusal(request, "CODE_LIMIT", place="verify", status=429, seconds=wait.seconds)
    except failed_attempts.Locked:
        return responses.refusal(request, "CODES_SHUT", place="verify", status=403)
    except codes.Unavailable:
        return responses.refusal(request, "UNAVAILABLE", place="verify", status=503, seconds=5)
    user = auth.authenticate(request, verified=verified)
    if user is None:
        return responses.refusal(request, "NO_ACCOUNT", place="verify")
    return _signed_in(request, user, form, responses.BY_CODE, verified)


@never_cache
@require_POST
def logout(request: Request) -> HttpResponse:
    """End the session and begin a new one."""
    before = browser_id.of(request.session)
    # A visitor without a session row has nothing to end, and logout() would create one.
    if sessions.is_session(request):
        auth.logout(request)
    browser_id.replant(request.session)
    destination = Form(request.POST).destination(request) or resolve_url("home")
    response = responses.gone_to(request, destination, done=_("Signed out."))
    cooldown_cookie.forget(response, request.COOKIES)
    response.delete_cookie("username", samesite="Lax")
    response.cookies["username"]["secure"] = settings.SESSION_COOKIE_SECURE or ""
    return _tell_tabs(response, before)


@never_cache
@require_safe
def state(request: Request) -> HttpResponse:
    """Return the live leaves to a page whose socket is down, or the state to a program."""
    if browser_id.of(request.session) is None and sessions.ended_visitor(request):
        # The page that polls has no socket, and would not get one with this cookie.
        browser_of_request(request)
    now = state_of_request(request)
    if prefers_json(request):
        return JsonResponse({"code": "OK", "errmsg": "", "username": now.username, **now.as_json()})
    return HttpResponse(leaves(now, "account", "delivery", "countdown"))


def csrf_failure(request: Request, reason: str = "") -> HttpResponse:
    """Refuse a POST without a valid CSRF token. The answer has a valid one, and what was typed stays in the form."""
    if prefers_json(request):
        return JsonResponse({"code": "CSRF", "errmsg": messages.errmsg("CSRF")}, status=403)
    get_token(request)
    if request.headers.get("HX-Request") == "true":
        # latchkey.js resends the form once. The body is a leaf, by which it recognises an answer of this site.
        response = HttpResponse('<p id="trouble" hx-swap-oob="innerHTML"></p>', status=403)
        response["X-Token"] = "fresh"
        return response
    place = FORMS.get(request.path)
    # Only browsers write this header. The fields of a foreign form must not come back: one click would send them.
    if place and request.headers.get("Sec-Fetch-Site") == "same-origin":
        text = _("Nothing was sent: this page has expired, or your browser blocks cookies. Please try again.")
        return responses.refusal(request, "CSRF", place=place, status=403, text=text)
    return render(request, "403_csrf.html", status=403)


def _known_numbers(request: Request) -> list[str]:
    """Return the numbers that this browser's pages show masked: of its latest request, and of who is signed in."""
    own = browser_id.of(request.session)
    row = delivery.latest(own) if own else None
    user = request.user
    numbers = [row.mobile if row and state_of_row(row).mobile else "", (user.is_authenticated and user.mobile) or ""]
    return [mobile for mobile in numbers if mobile]


def _too_frequent(request: Request, own: str, mobile: str, seconds: float) -> HttpResponse:
    """Refuse with the present state: this may be a second click on a request that was accepted."""
    state = state_of_request(request)
    # Another browser requested a code for this number, or this one withdrew it: no row of its own has the cooldown.
    is_unshown = seconds > state.wait + 1
    if is_unshown:
        push(delivery.group(own), WAIT_CHANGED, seconds=seconds)
    state = state.waiting(seconds)
    response = responses.refusal(request, "SMS_TOO_FREQUENT", place="code", status=429, state=state, seconds=seconds)
    if is_unshown:
        cooldown_cookie.remember(response, mobile, seconds, own)
    return response


def _code_is_dead(request: Request, word: str) -> HttpResponse:
    """Refuse a code, and every other one: the page asks for a new one, and shows what became of the last."""
    if own := browser_id.of(request.session):
        push(delivery.group(own), delivery.CHANGED)
    return responses.refusal(request, word, place="code", state=state_of_request(request), tries_left=0)


def _is_proven(form: Form) -> bool:
    """Tell whether the form has a valid proof of work, and use it up. Raises redis.Unavailable."""
    return settings.ALTCHA == "off" or proof_of_work.verify(form.cleaned_data["altcha"])


def _counts_as_proven(form: Form) -> bool:
    """Do the same for a password, which needs no Redis: without it, attempts are only counted."""
    try:
        return _is_proven(form)
    except redis.Unavailable:
        return True


def _login_page(request: Request) -> HttpResponse:
    """Show the sign-in page. Somebody who is signed in goes on to `next`, or is asked whether to go on as they are.

    `again` asks for a proof once more, from somebody who is signed in (accounts/passwords).
    """
    destination = PasswordForm(request.GET).destination(request)
    user = request.user
    if not user.is_authenticated:
        return responses.login_page(request, next=destination)
    if "again" in request.GET:
        return responses.login_page(request, next=destination, again=True, known=masked(user.mobile or ""))
    # A page that this account may not see sends its visitor back here at once: the second time they are asked.
    mark = hashlib.sha256(destination.encode()).hexdigest()[:16]
    if not destination or request.COOKIES.get(WENT_ON_COOKIE) == mark:
        return responses.login_page(request, next=destination)
    response = HttpResponseRedirect(destination)
    response.set_cookie(
        WENT_ON_COOKIE, mark, max_age=WENT_ON_SECONDS, httponly=True, samesite="Lax",
        secure=settings.SESSION_COOKIE_SECURE,
    )  # fmt: skip
    return response


def _signed_in(
    request: Request, user: User, form: Form, way: str, verified: codes.Verified | None = None
) -> HttpResponse:
    """Sign the user in, set the cookies, notify the other tabs, and redirect."""
    before = browser_id.of(request.session)
    key = request.session.session_key
    auth.login(request, user)
    logger.info("user %s signed in", user.pk)
    # A user who signs in again while signed in keeps the session.
    if request.session.session_key != key:
        own = browser_id.replant(request.session)
        if before:
            delivery.move(before, own)
        if verified:
            request.session.unread_code = verified.delivery  # type: ignore[attr-defined]
            repetition.allow(verified, sessions.hashed(request.session.session_key or ""))
    age = settings.REMEMBERED_AGE if form.cleaned_data["remembered"] else None
    # 0: the cookie ends with the browser.
    request.session.set_expiry(age or 0)
    destination = form.destination(request) or resolve_url(settings.LOGIN_REDIRECT_URL)
    response = responses.gone_to(request, destination, done=_("Signed in."), username=user.username)
    # Only for display on cached pages: nothing relies on it.
    response.set_cookie("username", user.username, max_age=age, samesite="Lax", secure=settings.SESSION_COOKIE_SECURE)
    known_devices.remember(request, response, user)
    if request.COOKIES.get(responses.WAY_COOKIE) != way:
        response.set_cookie(
            responses.WAY_COOKIE, way, max_age=responses.WAY_SECONDS, samesite="Lax",
            secure=settings.SESSION_COOKIE_SECURE,
        )  # fmt: skip
    return _tell_tabs(response, before)


def _tell_tabs(response: HttpResponse, group: str | None) -> HttpResponse:
    """Notify the browser's other tabs, after this answer has been sent, that the session has changed.

    The event does not contain the user (T-38): each page reconnects with its new cookie and gets the state of that
    session.
    """
    if group is None:
        return response
    return push_after(response, delivery.group(group), SESSION_CHANGED)
