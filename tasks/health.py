"""Whether the site works, for a load balancer and its operators: `/healthz` and `/readyz`."""

from __future__ import annotations

from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from huey.contrib.djhuey import HUEY

from project import redis
from tasks import sweeper
from tasks.delivery import recovery

# Seconds. A sweeper that was last seen earlier has stopped; so have the workers, if a row has waited longer.
STALE = 10


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Answer 200 as long as the process serves requests."""
    return HttpResponse("ok", content_type="text/plain; charset=utf-8")


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 if the site can sign in a visitor, else 503 with the first part that is not ready."""
    reason = _not_ready()
    return JsonResponse({"ready": not reason, "reason": reason}, status=503 if reason else 200)


def _not_ready() -> str:
    """Return the first part that is not ready, or an empty string."""
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
    if seen is None or seen > STALE:
        return "sweeper"
    return "queue" if waiting > STALE else ""


def _broker_answers() -> bool:
    """Tell whether the queue can be reached, in Redis or in RabbitMQ."""
    try:
        HUEY.pending_count()
    except Exception:  # noqa: BLE001  (each broker has exceptions of its own)
        return False
    return True
