"""The digits of a code, derived from its delivery and never stored, so a resend has the same code."""

from __future__ import annotations

import hashlib
import hmac

from project import keys

DIGITS = 6


def digits(challenge: str, purpose: str, mobile: str, secret: str | None = None) -> str:
    """Return the six digits for one challenge, by RFC 4226's truncation of an HMAC-SHA-256.

    `challenge` is 128 random bits in hex, `mobile` a number in E.164. The key comes from SECRET_KEY
    (or from `secret`, a former one), which is neither in Redis nor in the database: a dump of both holds no code.
    """
    message = f"{challenge}|{purpose}|{mobile}".encode()
    digest = hmac.digest(keys.derive("code", secret), message, hashlib.sha256)
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return str(number % 10**DIGITS).zfill(DIGITS)
