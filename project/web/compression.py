"""Pages go out compressed. What is small does not: it would be smaller by a few bytes only, and not each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.middleware.gzip import GZipMiddleware

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

# Bytes. Leaves and JSON are below, pages are far above.
SMALL = 2500


class Pages(GZipMiddleware):
    """Django's compression, which is safe against BREACH: up to 100 random bytes go with each answer, and each page has
    its token masked anew.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Compress a page for whoever takes it so."""
        if response.streaming or len(response.content) < SMALL:  # type: ignore[attr-defined]
            return response
        return super().process_response(request, response)
