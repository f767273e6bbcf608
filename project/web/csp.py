"""The content security policy, as django-csp writes it, but written once for all answers that it is the same for."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from csp.constants import HEADER
from csp.middleware import CSPMiddleware
from csp.utils import build_policy
from django.conf import settings

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase


class Policy(CSPMiddleware):
    """django-csp's middleware. It builds each policy anew, also that of an answer in which there is no script."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Write the policy."""
        plain = _plain()
        # What django-csp's decorators say of it. And Django's own pages for developers have none.
        own = any(name.startswith("_csp") for name in (*vars(response), *vars(request)))
        if plain is None or own or response.status_code in {404, 500}:
            return super().process_response(request, response)
        response.headers.setdefault(HEADER, plain)
        return response


@cache
def _plain() -> str | None:
    """Return the policy without a nonce, None where a site's settings say more than one policy for all."""
    reported = getattr(settings, "CONTENT_SECURITY_POLICY_REPORT_ONLY", None)
    more = reported or settings.CONTENT_SECURITY_POLICY.get("EXCLUDE_URL_PREFIXES")
    return None if more else build_policy()
