"""Where a browser or a program gets a challenge from."""

from __future__ import annotations

from django.conf import settings
from django.http import Http404, HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.throttling import proof_of_work


@never_cache
@require_safe
def challenge(request: HttpRequest) -> JsonResponse:
    """Give a fresh challenge as JSON. No session, no row, no Redis: nothing to fill up by asking."""
    if settings.ALTCHA == "off":
        raise Http404
    return JsonResponse(proof_of_work.challenge())
