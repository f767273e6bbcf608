"""The dev phone's button that resets all limits: whoever tries Latchkey out has soon reached one."""

from __future__ import annotations

import logging
from urllib.parse import urlencode

from django.db import Error as DatabaseError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts.live.state import EVERY_PAGE, WAIT_CHANGED
from accounts.throttling import failed_attempts
from project import outage, redis
from project.live.push import push
from project.web.http import Request
from tasks import limits
from tasks.dev.views import require_dev_phone

logger = logging.getLogger(__name__)


@never_cache
@require_POST
def reset_limits(request: Request) -> HttpResponse:
    """Forget what the limits count, end cooldowns, pauses and locks, and tell the open pages that wait."""
    require_dev_phone()
    try:
        requests = limits.forgive_all()
        guesses = failed_attempts.forgive_all()
    except (redis.Unavailable, DatabaseError) as error:
        logger.warning("the limits were not reset: %s", outage.name(error))
        return HttpResponse("", status=503)
    # Also for a page that waits for a number which another browser has requested a code for.
    push(EVERY_PAGE, WAIT_CHANGED, seconds=0)
    logger.info("all limits were reset: %d requests, %d failed attempts", requests, guesses)
    did = {"requests": requests, "guesses": guesses}
    if request.htmx:
        return render(request, "dev/phone.html#reset", {"reset": did, "oob": True})
    # The page says it after a redirect, so that a reload does not reset again.
    return redirect(f"{reverse('dev_phone')}?{urlencode(did)}")
