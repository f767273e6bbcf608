"""Secret keys for one purpose each, derived from SECRET_KEY, and the keyed hashes of numbers, addresses, browsers."""

from __future__ import annotations

import hmac
from functools import cache

from django.conf import settings


@cache
def derive(purpose: str, secret: str | None = None) -> bytes:
    """Return the 32-byte key for a purpose. Knowing one key reveals none of the others."""
    secret = settings.SECRET_KEY if secret is None else secret
    return hmac.digest(secret.encode(), f"latchkey.{purpose}".encode(), "sha256")


def hashed(purpose: str, value: str) -> str:
    """Return the keyed hash, 32 hex digits, that replaces a value in keys of Redis, group names and rows.

    Keyed, because a plain hash of a phone number is found by trying all numbers.
    """
    return hmac.digest(derive(purpose), value.encode(), "sha256").hex()[:32]
