"""django-csp's middleware, with the policy built once for all answers that share it.

Saves: 0.2 ms of processor time an answer, 6 % of an accepted code request (django-csp 4.0 builds the policy anew for
each). To do without it, name `csp.middleware.CSPMiddleware` in MIDDLEWARE.
Breaks if: django-csp keeps what `@csp_exempt()` says elsewhere than in `response._csp_exempt`. Then an exempted view
has a policy all the same, and tests/pages/test_headers.py fails.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from csp.constants import HEADER
from csp.middleware import CSPMiddleware, PolicyParts
from csp.utils import build_policy
from django.conf import settings

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase


class CachedCSPMiddleware(CSPMiddleware):
    """Adds the shared policy, and leaves to django-csp each answer with a nonce, a decorator or a debug page."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Add the policy to an answer."""
        policy = _shared_policy()
        has_own = (
            any(self.get_policy_parts(request, response, report_only=kind) != PolicyParts() for kind in (False, True))
            or getattr(response, "_csp_exempt", False)
            # Under DEBUG these may be Django's debug pages, which have no policy.
            or response.status_code in {404, 500}
        )
        if policy is None or has_own:
            return super().process_response(request, response)
        response.headers.setdefault(HEADER, policy)
        return response


@cache
def _shared_policy() -> str | None:
    """Return the policy without a nonce, None where the settings have more than one policy."""
    if getattr(settings, "CONTENT_SECURITY_POLICY_REPORT_ONLY", None):
        return None
    return None if settings.CONTENT_SECURITY_POLICY.get("EXCLUDE_URL_PREFIXES") else build_policy()
