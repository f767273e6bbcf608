"""Pages are compressed, small answers are not.

Django's middleware compresses from 200 bytes on, and only where that saves any. With the random bytes that it adds
against BREACH a small answer is compressed at one time and not at another: answers that must not be told apart would
differ in their headers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.middleware.gzip import GZipMiddleware

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

# Leaves and JSON are smaller, pages are far larger.
SMALL_BYTES = 2500


class Pages(GZipMiddleware):
    """Django's compression, for answers of some size."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Compress a page for a browser that accepts it so."""
        if response.streaming or len(response.content) < SMALL_BYTES:  # type: ignore[attr-defined]
            return response
        return super().process_response(request, response)
