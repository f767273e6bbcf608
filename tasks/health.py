"""Whether the site works, for a load balancer and its operators: `/healthz` and `/readyz`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from huey.contrib.djhuey import HUEY

from project import outage, redis
from tasks import rehearsal, sweeper
from tasks.delivery import recovery

logger = logging.getLogger(__name__)

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
    reason, detail = _not_ready()
    _log.change(detail)
    return JsonResponse({"ready": not reason, "reason": reason}, status=503 if reason else 200)


def _not_ready() -> tuple[str, str]:
    """Return the first part that is not ready, and for the log what is wrong with it. Both are empty if all is well."""
    try:
        waiting = recovery.oldest_waiting()
        rehearsal.rehearse_database()
    except DatabaseError as error:
        return "disk" if outage.is_disk_full(error) else "database", outage.name(error)
    try:
        rehearsal.rehearse_redis()
        seen = sweeper.seen_ago()
    except redis.Unavailable as error:
        cluster = ", a Redis Cluster, which is not supported" if outage.is_cluster(error) else ""
        return "disk" if outage.is_disk_full(error) else "redis", outage.name(error) + cluster
    try:
        HUEY.pending_count()
    except Exception as error:  # noqa: BLE001  (each broker has exceptions of its own)
        return "broker", f"broker {outage.name(error)}"
    if seen is None or seen > STALE:
        return "sweeper", f"no sweeper for {STALE} s"
    if waiting > STALE:
        return "queue", f"a message has been due for {STALE} s"
    return "", ""


def answer_probes(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Answer the two probes under any Host: kubelets and load balancers use an address, and cannot choose.

    For all other requests Django refuses a host that is not in ALLOWED_HOSTS, and so it does for these two in any
    method but GET and HEAD. A probe has no session and sets no cookie.
    """
    probes = {"/healthz": healthz, "/readyz": readyz}

    def middleware(request: HttpRequest) -> HttpResponse:
        probe = probes.get(request.path) if request.method in {"GET", "HEAD"} else None
        if probe is None:
            return get_response(request)
        response = probe(request)
        # As CommonMiddleware does, which is not asked.
        response["Content-Length"] = str(len(response.content))
        return response

    return middleware


class _Log:
    """Logs why the site is not ready: once, and not at every probe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._detail = ""

    def change(self, detail: str) -> None:
        """Log what is wrong, if it is something else than at the last probe."""
        with self._lock:
            before, self._detail = self._detail, detail
        if detail and detail != before:
            logger.warning("not ready: %s", detail)
        elif before and not detail:
            logger.info("ready again")


_log = _Log()
