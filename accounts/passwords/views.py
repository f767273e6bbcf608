"""The page on which a signed-in user changes the password, or sets the first one."""

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
from project.web.http import Request, prefers_json

logger = logging.getLogger(__name__)

PAGE = "accounts/password.html"
# The session key of the confirmation, until the page has shown it.
CHANGED = "password_changed"


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def password(request: Request) -> HttpResponse:
    """Show the form; change the password, and end every other session of the user."""
    user = request.user
    if not user.is_authenticated:
        if request.method == "POST" and not prefers_json(request) and sessions.is_session(request):
            # The form was sent twice, and the first answer set another cookie: with it the page shows the result.
            return responses.gone_to(request, reverse("password"))
        return _to_login(request)
    if request.method != "POST":
        changed = request.method == "GET" and request.session.pop(CHANGED, False)
        return _page(request, user, changed=changed)
    has_one = user.has_usable_password()
    if not has_one and not reauthentication.is_recent(request.session):
        # Without a current password the login must be recent (T-36): somebody else may use this browser by now.
        return _reauthenticate(request, user)
    form = NewPasswordForm(sent(request), has_one=has_one)
    if not form.is_valid():
        word, field = form.fault()
        return _refusal(request, user, word, field=field)
    # The current password first: the reason why a new one is refused can reveal the user's number.
    if has_one:
        # Counted with those of the login, so that a stolen session gives no additional guesses.
        subject, own = failed_attempts.of_account(user.pk, ""), known_devices.knows_account(request, user)
        try:
            attempt = failed_attempts.begin("password", subject, hashed_address(request), own=own)
        except failed_attempts.Paused as wait:
            return _refusal(request, user, "PASSWORD_LIMIT", status=429, seconds=wait.seconds)
        if not user.check_password(form.cleaned_data["current"]):
            attempt.was_wrong()
            return _refusal(
                request, user, "CREDENTIALS", field="current", tries_left=attempt.left, seconds=attempt.pause
            )
        attempt.was_right()
    try:
        validate_password(form.cleaned_data["new"], user)
    except ValidationError as error:
        return _refusal(request, user, "PASSWORD_WEAK", field="new", why=" ".join(error.messages))
    before, user.password = user.password, make_password(composed(form.cleaned_data["new"]))
    try:
        with transaction.atomic():
            replaced = _replace(user, before)
            if replaced:
                # A new key for this session (ASVS 5.0, 7.2.4); the others were signed with the former password.
                auth.update_session_auth_hash(request, user)
    except SessionInterrupted:
        # Another tab signed out meanwhile: the password is unchanged.
        logger.info("user %s has no new password: signed out meanwhile", user.pk)
        return _to_login(request)
    if not replaced:
        user.refresh_from_db(fields=["password"])
        if has_one and user.check_password(form.cleaned_data["new"]):
            return responses.gone_to(request, reverse("password"))
        # The password was changed meanwhile, so the check of this request no longer counts.
        return _refusal(request, user, "CREDENTIALS", field="current") if has_one else _reauthenticate(request, user)
    request.session[CHANGED] = True
    logger.info("user %s has a new password", user.pk)
    response = responses.gone_to(request, reverse("password"), done=_("Your new password is set."))
    return push_after(response, revocation.group(user.pk), SESSION_CHANGED)


def _replace(user: User, before: str) -> bool:
    """Replace the password hash if it is still `before`, and tell whether it was.

    The race: the owner and somebody who knows the old password change it at once. The conditional UPDATE lets one
    of them win. Not `save()`: its signal would reach this browser's tabs before the new cookie does.
    """
    return bool(User.objects.filter(pk=user.pk, password=before, is_active=True).update(password=user.password))


def _errmsg(word: str, field: str, *, seconds: float, tries_left: int | None) -> str:
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
            return messages.errmsg(word, field=field)


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
    """Refuse the change. The answer never contains a password."""
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
    """Refuse because the login is too long ago. The page shows what to do, with a link."""
    text = _("Sign in again with a text message, then set a password within five minutes.")
    if prefers_json(request):
        return JsonResponse({"code": "REAUTHENTICATE", "errmsg": text, "next": _login(again=True)}, status=403)
    if request.htmx:
        return HttpResponseClientRedirect(reverse("password"))
    return _page(request, user, message=messages.Notice(text), status=403)


def _page(
    request: Request,
    user: User,
    *,
    message: messages.Notice | None = None,
    changed: bool = False,
    status: int = 200,
) -> HttpResponse:
    has_one = user.has_usable_password()
    context = {
        "changed": changed,
        "has_one": has_one,
        "may_set": has_one or reauthentication.is_recent(request.session),
        "change_message": message,
        "least": settings.PASSWORD_MIN_LENGTH,
    }
    return render(request, PAGE, context, status=status)


def _to_login(request: Request) -> HttpResponse:
    if prefers_json(request):
        body = {"code": "REAUTHENTICATE", "errmsg": _("Please sign in first."), "next": _login()}
        return JsonResponse(body, status=403)
    if request.htmx:
        return HttpResponseClientRedirect(_login())
    return HttpResponseRedirect(_login())


def _login(*, again: bool = False) -> str:
    """Return the URL of the login that leads back here; `again` for somebody who is signed in."""
    return f"{reverse('login')}?{'again=1&' if again else ''}next={reverse('password')}"
