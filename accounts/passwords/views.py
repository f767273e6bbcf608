"""The page on which a signed-in visitor changes a password, or sets the first one."""

from __future__ import annotations

import logging

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.contrib.sessions.exceptions import SessionInterrupted
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods
from django_htmx.http import HttpResponseClientRedirect

from accounts import messages, responses, sessions
from accounts.forms import sent
from accounts.live import revocation
from accounts.live.state import SESSION_CHANGED
from accounts.models import User
from accounts.passwords import reauthentication
from accounts.passwords.forms import NewPasswordForm
from accounts.passwords.hashers import composed
from accounts.throttling import failed_attempts, known_devices
from accounts.throttling.client_ip import hashed_address
from project.live.push import push_after
from project.web.http import Request

logger = logging.getLogger(__name__)

PAGE = "accounts/password.html"
# In the session until the page that says so has been shown.
CHANGED = "password_changed"


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def password(request: Request) -> HttpResponse:
    """Show the form; take the present and the new password, and end every other session of the user."""
    user = request.user
    if not user.is_authenticated:
        if request.method == "POST" and not responses.wants_json(request) and sessions.is_session(request):
            # The form was sent twice, and the first answer has brought another cookie: the page itself knows.
            return responses.gone_to(request, reverse("password"))
        return _to_login(request)
    if request.method != "POST":
        changed = request.method == "GET" and request.session.pop(CHANGED, False)
        return _page(request, user, changed=changed)
    has_one = user.has_usable_password()
    if not has_one and not reauthentication.is_fresh(request.session):
        # With no password to ask for, the code must have been just now (T-36): this browser may be another's by now.
        return _reauthenticate(request, user)
    form = NewPasswordForm(sent(request), has_one=has_one)
    if not form.is_valid():
        word, field = form.fault()
        return _refusal(request, user, word, field=field)
    # The present password first: what makes a new one weak tells something about the user's number.
    if has_one:
        # Counted with those at the login, so that a taken session is no second way to try passwords.
        subject, own = failed_attempts.of_account(user.pk, ""), known_devices.knows_account(request, user)
        try:
            guess = failed_attempts.begin("password", subject, hashed_address(request), own=own)
        except failed_attempts.Paused as wait:
            return _refusal(request, user, "PASSWORD_LIMIT", status=429, seconds=wait.seconds)
        if not user.check_password(form.cleaned_data["current"]):
            guess.was_wrong()
            return _refusal(request, user, "CREDENTIALS", field="current", tries_left=guess.left, seconds=guess.pause)
        guess.was_right()
    try:
        validate_password(form.cleaned_data["new"], user)
    except ValidationError as weak:
        return _refusal(request, user, "PASSWORD_WEAK", field="new", why=" ".join(weak.messages))
    before, user.password = user.password, make_password(composed(form.cleaned_data["new"]))
    try:
        with transaction.atomic():
            replaced = _replace(user, before)
            if replaced:
                # A new key for this session (ASVS 5.0, 7.2.4); the others were signed with the former password.
                auth.update_session_auth_hash(request, user)
    except SessionInterrupted:
        # Signed out in another tab while this was worked on: the password is still the former one.
        logger.info("user %s has no new password: signed out meanwhile", user.pk)
        return _to_login(request)
    if not replaced:
        user.refresh_from_db(fields=["password"])
        if has_one and user.check_password(form.cleaned_data["new"]):
            # The form was sent twice. The browser has the other answer's cookie, or is about to.
            return responses.gone_to(request, reverse("password"))
        # Somebody was faster, so what this request has proved is no longer so.
        return _refusal(request, user, "CREDENTIALS", field="current") if has_one else _reauthenticate(request, user)
    request.session[CHANGED] = True
    logger.info("user %s has a new password", user.pk)
    response = responses.gone_to(request, reverse("password"), done=_("Your new password is set."))
    return push_after(response, revocation.group(user.pk), SESSION_CHANGED)


def _replace(user: User, before: str) -> bool:
    """Write the user's new password in place of the one that was looked at, and tell whether that was still there.

    The owner and somebody who knows the old password may do this in the same moment. The row takes one of the two, and
    the other is out. Not `save()`: its signal would tell this browser's tabs before it has its new cookie.
    """
    return bool(User.objects.filter(pk=user.pk, password=before, is_active=True).update(password=user.password))


def _errmsg(word: str, field: str, *, seconds: float, tries_left: int | None) -> str:
    """Return what a stable word means on this page."""
    match word:
        case "PASSWORD_FORMAT" if field == "new":
            return _("Choose a password of %(least)d to 128 characters.") % {"least": settings.PASSWORD_MIN_LENGTH}
        case "CREDENTIALS" if tries_left:
            return ngettext(
                "Incorrect current password. %(tries)d attempt left before sign-in is paused.",
                "Incorrect current password. %(tries)d attempts left before sign-in is paused.",
                tries_left,
            ) % {"tries": tries_left}
        case "CREDENTIALS" if seconds:
            return _("Incorrect current password. Try again in %(time)s.") % {"time": messages.how_long(seconds)}
        case "CREDENTIALS":
            return _("Incorrect current password.")
        case "PASSWORD_LIMIT":
            return _("Too many incorrect passwords. Try again in %(time)s.") % {"time": messages.how_long(seconds)}
        case _:
            return messages.errmsg(word)


def _refusal(
    request: Request,
    user: User,
    word: str,
    *,
    status: int = 422,
    field: str = "",
    why: str = "",
    seconds: float = 0,
    tries_left: int | None = None,
) -> HttpResponse:
    """Answer no, in the form that was asked for. Neither password is ever sent back."""
    logger.info("user %s has no new password: %s", user.pk, word)
    return responses.refusal(
        request,
        word,
        place="change",
        status=status,
        field=field,
        seconds=seconds,
        tries_left=tries_left,
        text=why or _errmsg(word, field, seconds=seconds, tries_left=tries_left),
        page=lambda message: _page(request, user, message=message, status=status),
    )


def _reauthenticate(request: Request, user: User) -> HttpResponse:
    """Answer that the login is too long ago. The page itself says what to do, with the way there."""
    text = _("Sign in again with a text message, then set a password within five minutes.")
    if responses.wants_json(request):
        return JsonResponse({"code": "REAUTHENTICATE", "errmsg": text, "next": _login()}, status=403)
    if request.htmx:
        return HttpResponseClientRedirect(reverse("password"))
    return _page(request, user, message=messages.Message(text), status=403)


def _page(
    request: Request,
    user: User,
    *,
    message: messages.Message | None = None,
    changed: bool = False,
    status: int = 200,
) -> HttpResponse:
    """Return the page."""
    has_one = user.has_usable_password()
    context = {
        "changed": changed,
        "has_one": has_one,
        "may_set": has_one or reauthentication.is_fresh(request.session),
        "change_message": message,
        "least": settings.PASSWORD_MIN_LENGTH,
    }
    return render(request, PAGE, context, status=status)


def _to_login(request: Request) -> HttpResponse:
    """Send a stranger to the login, and back here from it."""
    if responses.wants_json(request):
        body = {"code": "REAUTHENTICATE", "errmsg": _("Please sign in first."), "next": _login()}
        return JsonResponse(body, status=403)
    if request.htmx:
        return HttpResponseClientRedirect(_login())
    return HttpResponseRedirect(_login())


def _login() -> str:
    """Return the address of the login that leads back here."""
    return f"{reverse('login')}?next={reverse('password')}"
