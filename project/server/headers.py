"""The headers that every answer carries, whoever made it: a view, Django's own refusals, a file's, or daphne itself.

Middleware sees only what passes through it; a broken one, a file or a request that never became one does not.
What an answer says of itself is left as it is. (ASVS 5.0, 3.4 and 14.3.2; RFC 9110, 9111, 6797)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    pass

Headers = list[tuple[bytes, bytes]]

# What no page of ours asks a visitor's device for. `otp-credentials`: a phone may offer the code of an SMS to our own
# page, and to nothing inside it. Chromium writes each name that it does not know to the console of every page.
PERMISSIONS = (
    "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), hid=(), magnetometer=(), "
    "microphone=(), midi=(), payment=(), serial=(), usb=(), otp-credentials=(self)"
)
ALWAYS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": settings.X_FRAME_OPTIONS.encode(),
    b"referrer-policy": settings.SECURE_REFERRER_POLICY.encode(),
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": PERMISSIONS.encode(),
}
# For what is no page: a file that is opened by itself, a redirect, JSON, plain words. Nothing runs in it (T-85).
BARE_POLICY = b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# RFC 6797, 7.2: over TLS only.
HSTS = (
    f"max-age={settings.SECURE_HSTS_SECONDS}"
    + ("; includeSubDomains" if settings.SECURE_HSTS_INCLUDE_SUBDOMAINS else "")
    + ("; preload" if settings.SECURE_HSTS_PRELOAD else "")
).encode()
# Who is signed in, who asks, and in which words: one address has many answers.
VARIES = ("Cookie", "Accept", "HX-Request")


def complete(headers: Headers, *, status: int, secure: bool) -> Headers:
    """Return the headers of an answer, and those that it lacks. `secure`: it goes out over TLS."""
    have = {name.lower(): value for name, value in headers}
    added = {name: value for name, value in ALWAYS.items() if name not in have}
    # Django's own pages on what went wrong, for developers, bring scripts and styles with them.
    if b"content-security-policy" not in have and not (settings.DEBUG and status in {404, 500}):
        added[b"content-security-policy"] = BARE_POLICY
    if secure and settings.SECURE_HSTS_SECONDS and b"strict-transport-security" not in have:
        added[b"strict-transport-security"] = HSTS
    # Kept by nobody, unless it says so by itself, as files do (T-90).
    if b"cache-control" not in have and status != 304:
        added[b"cache-control"] = b"no-store, private"
    if b"no-store" in (have | added).get(b"cache-control", b""):
        said = have.get(b"vary", b"").decode("latin-1")
        names = [name.strip() for name in said.split(",") if name.strip()]
        names += [name for name in VARIES if name.lower() not in {one.lower() for one in names}]
        headers = [(name, value) for name, value in headers if name.lower() != b"vary"]
        added[b"vary"] = ", ".join(names).encode("latin-1")
    return [*headers, *added.items()]


def is_secure(scheme: str, forwarded: bytes | None) -> bool:
    """Tell whether a visitor speaks TLS: with us, or with a proxy of ours that says so in X-Forwarded-Proto."""
    return scheme == "https" or bool(settings.TRUSTED_PROXIES and forwarded == b"https")
