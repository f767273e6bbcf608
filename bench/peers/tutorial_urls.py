"""A code by SMS as tutorials show it: look for the flag, set code and flag in one pipeline, enqueue.

It keeps no row, has no limit but the flag, and lets two requests at once both pass.
"""

from __future__ import annotations

import os
import secrets

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_POST
from redis import Redis

from bench.peers.tasks import send_sms

client = Redis.from_url(os.environ["REDIS_URL"])


@ensure_csrf_cookie
def page(request: HttpRequest) -> HttpResponse:
    """Give the cookie that a form needs."""
    return HttpResponse()


@require_POST
def code(request: HttpRequest) -> HttpResponse:
    """Ask for a code."""
    mobile = request.POST["mobile"]
    if client.get(f"send_flag_{mobile}"):
        return JsonResponse({"code": "SMS_TOO_FREQUENT"}, status=429)
    digits = f"{secrets.randbelow(10**6):06}"
    with client.pipeline() as pipe:
        pipe.setex(f"sms_{mobile}", 300, digits)
        pipe.setex(f"send_flag_{mobile}", 60, 1)
        pipe.execute()
    send_sms(mobile, digits)
    return JsonResponse({"code": "OK"}, status=202)


urlpatterns = [path("login/", page), path("code/", code), path("healthz", page)]
