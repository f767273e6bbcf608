"""What operators and developers look at: health, readiness, the dev phone, the queue's self-test."""

from __future__ import annotations

from dataclasses import asdict

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import Error as DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe
from huey.contrib.djhuey import HUEY

from project import redis
from project.web.http import Request
from tasks import debug, sweeper
from tasks.delivery import recovery
from tasks.gateways import phone

# Seconds: older than this, nobody is at work.
OLD = 10


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Answer, which is all that is asked."""
    return HttpResponse("ok", content_type="text/plain; charset=utf-8")


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Tell whether a visitor would be served: 200, or 503 with the name of the part that is not ready."""
    reason = _not_ready()
    return JsonResponse({"ready": not reason, "reason": reason}, status=503 if reason else 200)


def _not_ready() -> str:
    """Return the first part that is not ready, empty when all are."""
    try:
        waiting = recovery.oldest_waiting()
        recovery.check_writable()
    except DatabaseError:
        return "database"
    try:
        seen = sweeper.seen_ago()
    except redis.Unavailable:
        return "redis"
    if not _broker_answers():
        return "broker"
    if seen is None or seen > OLD:
        return "sweeper"
    return "queue" if waiting > OLD else ""


def _broker_answers() -> bool:
    """Tell whether the queue can be reached, wherever it is."""
    try:
        HUEY.pending_count()
    except Exception:  # noqa: BLE001  (a broker may raise what it likes)
        return False
    return True


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def dev_phone(request: Request) -> HttpResponse:
    """Show the phone that is a page; take its switches."""
    _only_in_development()
    if request.method == "POST":
        times = request.POST.get("times", "")
        try:
            phone.switch(request.POST.get("mode", ""), int(times) if times.isascii() and times.isdigit() else 1)
        except ValueError:
            return HttpResponse("", status=422)
        if not request.htmx:
            return redirect("dev_phone")
    mode = phone.current_mode()
    context = {"messages": phone.messages(), "mode": mode.mode, "times": mode.times}
    if request.htmx:
        return render(request, "dev/phone.html#mode", context | {"oob": True})
    return render(request, "dev/phone.html", context)


@never_cache
@require_safe
def dev_phone_messages(request: HttpRequest) -> JsonResponse:
    """Give what has arrived, newest last."""
    _only_in_development()
    return JsonResponse([asdict(message) for message in phone.messages()], safe=False)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def dev_queue(request: Request) -> HttpResponse:
    """Show the queue's self-test; POST starts one."""
    if not (settings.DEBUG or request.user.is_staff):
        raise PermissionDenied
    try:
        if request.method == "POST":
            debug.start()
            if not request.htmx:
                return redirect("dev_queue")
        test = debug.current()
    except redis.Unavailable:
        return HttpResponse("", status=503)
    if request.htmx:
        return render(request, "dev/queue.html#progress", {"test": test, "oob": True})
    return render(request, "dev/queue.html", {"test": test})


def _only_in_development() -> None:
    """Answer as if there were no such page, unless this is somebody's own machine."""
    if not (settings.DEBUG and settings.DEV_PHONE):
        raise Http404
