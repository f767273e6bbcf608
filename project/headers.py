"""The headers of the login's own answers, whoever makes them: a view, Django's refusals, a file's, or daphne itself.

Django's answers get them from `project/web/headers.py`, those of the server from `project/server/`. What an answer says
of itself is left as it is. (ASVS 5.0, 3.4 and 14.3.2; RFC 9110, 9111, 6797)
"""

from __future__ import annotations

from collections.abc import Mapping

from django.conf import settings

Headers = list[tuple[bytes, bytes]]

# What no page of ours asks a visitor's device for. `otp-credentials`: a phone may offer the code of an SMS to our own
# page, and to nothing inside it. Chromium writes each name that it does not know to the console of every page.
PERMISSIONS = (
    "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), hid=(), magnetometer=(), "
    "microphone=(), midi=(), payment=(), serial=(), usb=(), otp-credentials=(self)"
)
ALWAYS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": settings.X_FRAME_OPTIONS,
    "referrer-policy": settings.SECURE_REFERRER_POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": PERMISSIONS,
}
# For what is no page: a file that is opened by itself, a redirect, JSON, plain words. Nothing runs in it (T-85).
BARE_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# RFC 6797, 7.2: over TLS only.
HSTS = (
    f"max-age={settings.SECURE_HSTS_SECONDS}"
    + ("; includeSubDomains" if settings.SECURE_HSTS_INCLUDE_SUBDOMAINS else "")
    + ("; preload" if settings.SECURE_HSTS_PRELOAD else "")
)
# Kept by nobody (T-90).
NO_STORE = "no-store, private"
# Who is signed in, who asks, and in which words: one address has many answers.
VARIES = ("Cookie", "Accept", "HX-Request")


def missing(have: Mapping[str, str], *, status: int, cache_control: str = NO_STORE) -> dict[str, str]:
    """Return the headers that an answer of the login's own lacks.

    `have` is what it says of itself, by names in small letters. Without a Cache-Control it gets `cache_control`.
    """
    added = {name: value for name, value in ALWAYS.items() if name not in have}
    # Django's own pages on what went wrong, for developers, bring scripts and styles with them.
    if "content-security-policy" not in have and not (settings.DEBUG and status in {404, 500}):
        added["content-security-policy"] = BARE_POLICY
    # A file says itself how long it is kept.
    if "cache-control" not in have and status != 304:
        added["cache-control"] = cache_control
    if "private" in (added.get("cache-control") or have.get("cache-control", "")):
        said = [name.strip() for name in have.get("vary", "").split(",") if name.strip()]
        more = [name for name in VARIES if name.lower() not in {one.lower() for one in said}]
        added["vary"] = ", ".join([*said, *more])
    return added


def complete(headers: Headers, *, status: int) -> Headers:
    """Return the headers of an answer that the server makes by itself, and those that it lacks."""
    have = {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in headers}
    added = missing(have, status=status)
    kept = [(name, value) for name, value in headers if name.lower().decode("latin-1") not in added]
    return [*kept, *((name.encode(), value.encode("latin-1")) for name, value in added.items())]


def with_hsts(headers: Headers, *, secure: bool) -> Headers:
    """Return the headers of any answer, the site's own too. `secure`: it goes out over TLS."""
    name = b"strict-transport-security"
    if not secure or not settings.SECURE_HSTS_SECONDS or any(have.lower() == name for have, _ in headers):
        return headers
    return [*headers, (name, HSTS.encode())]


def is_secure(scheme: str, forwarded: bytes | None) -> bool:
    """Tell whether a visitor speaks TLS: with us, or with a proxy of ours that says so in X-Forwarded-Proto."""
    return scheme == "https" or bool(settings.TRUSTED_PROXIES and forwarded == b"https")
