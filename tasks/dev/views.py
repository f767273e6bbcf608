"""Pages for developers and operators: the dev phone, and the self-test of the queue."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from project import redis
from project.web.http import Request
from tasks import debug
from tasks.gateways import phone

# Steps of a self-test, which are its seconds as well.
DEFAULT_STEPS, MOST_STEPS = 10, 60


class SelfTestForm(forms.Form):
    """Start the self-test."""

    # Left out, it is the default: a program may send an empty POST.
    count = forms.IntegerField(min_value=1, max_value=MOST_STEPS, required=False)

    def clean_count(self) -> int:
        """Fall back to the default."""
        count: int | None = self.cleaned_data["count"]
        return DEFAULT_STEPS if count is None else count


class ResetForm(forms.Form):
    """What the reset of all limits has done, as its redirect tells the page."""

    requests = forms.IntegerField(min_value=0)
    guesses = forms.IntegerField(min_value=0)


class SwitchForm(forms.Form):
    """The dev phone's switches."""

    mode = forms.ChoiceField(choices=[(mode, mode) for mode in phone.MODES])
    times = forms.IntegerField(min_value=1, max_value=phone.MOST_TIMES, required=False)
    report = forms.ChoiceField(choices=[(report, report) for report in phone.REPORTS], required=False)
    after = forms.IntegerField(min_value=0, max_value=phone.MOST_SECONDS, required=False)

    def switches(self) -> phone.Switches:
        """Return them, with the defaults of what was left out: a program may send the mode only."""
        chosen = {name: value for name, value in self.cleaned_data.items() if value not in {None, ""}}
        return phone.Switches(**chosen)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def dev_phone(request: Request) -> HttpResponse:
    """Show the dev phone; POST changes what its next messages do."""
    require_dev_phone()
    if request.method == "POST":
        form = SwitchForm(request.POST)
        if not form.is_valid():
            return HttpResponse("", status=422)
        phone.switch(form.switches())
        if not request.htmx:
            return redirect("dev_phone")
    context = {"messages": phone.messages(), "switches": phone.switches(), "most_seconds": phone.MOST_SECONDS}
    if request.htmx:
        return render(request, "dev/phone.html#mode", context | {"oob": True})
    reset = ResetForm(request.GET)
    return render(request, "dev/phone.html", context | {"reset": reset.cleaned_data if reset.is_valid() else None})


@never_cache
@require_safe
def dev_phone_messages(request: HttpRequest) -> JsonResponse:
    """Return the messages as JSON, newest last."""
    require_dev_phone()
    return JsonResponse([asdict(message) for message in phone.messages()], safe=False)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def dev_queue(request: Request) -> HttpResponse:
    """Show the self-test of the queue; POST starts one."""
    if not (settings.DEBUG or request.user.is_staff):
        raise PermissionDenied
    form = SelfTestForm(request.POST if request.method == "POST" else None)
    context: dict[str, Any] = {"default": DEFAULT_STEPS, "most": MOST_STEPS}
    status = 200
    try:
        if form.is_valid():
            debug.start(form.cleaned_data["count"])
            if not request.htmx:
                return redirect("dev_queue")
        elif form.is_bound:
            status = 422
            text = _("Enter a whole number from 1 to %(most)d.") % {"most": MOST_STEPS}
            context |= {"message": {"text": text, "field": "count"}, "count": request.POST.get("count", "")}
        context["test"] = debug.current()
    except redis.Unavailable:
        return HttpResponse("", status=503)
    if request.htmx:
        return render(request, "dev/queue.html#reply", context | {"oob": True}, status=status)
    return render(request, "dev/queue.html", context, status=status)


def require_dev_phone() -> None:
    """Raise Http404 unless this is a developer's machine with the dev phone on."""
    if not (settings.DEBUG and settings.DEV_PHONE):
        raise Http404
