"""Proof of work without a third party (ALTCHA): the visitor's browser computes for a second, and nobody is tracked.

It does not tell people from machines; it makes thousands of requests expensive. A challenge is signed and not stored,
and holds nothing about the visitor. A solution works once.
"""

from __future__ import annotations

import logging
import secrets
import time
from typing import Any

from altcha import Payload, create_challenge, verify_solution
from django.conf import settings

from project import keys, redis

logger = logging.getLogger(__name__)

# Built into every browser, and fast. The stronger scrypt and Argon2 need WebAssembly, which our
# Content-Security-Policy forbids.
ALGORITHM = "PBKDF2/SHA-256"
# For one try: making a challenge and checking a solution each take the server half a millisecond.
# ALTCHA_COST is how many tries the browser needs at most.
ITERATIONS = 1000
# Seconds to solve a challenge and send the solution. A slow phone needs about ten for the hardest.
LIFETIME_SECONDS = 5 * 60
# Seconds that a used solution is remembered after it has expired, as the clocks of two web machines differ.
SLACK_SECONDS = 60
# A real one has about 600.
MAX_CHARACTERS = 2000


class Needed(Exception):
    """A limit is near, and the request came without a solution. The visitor's browser is given a challenge."""


def challenge() -> dict[str, Any]:
    """Return a fresh challenge, as ALTCHA's widget and libraries take it (proof of work version 2)."""
    made = create_challenge(
        ALGORITHM,
        ITERATIONS,
        # From 0 on: with a lower bound, attackers would simply skip the work below it.
        counter=secrets.randbelow(settings.ALTCHA_COST),
        expires_at=int(time.time()) + LIFETIME_SECONDS,
        hmac_secret=keys.derive("altcha"),
    )
    return made.to_dict()


def verify(payload: str) -> bool:
    """Tell whether `payload` solves a challenge that we have signed, and use it up: it is not accepted a second time.

    It is the form's field `altcha`, and may hold anything. Raises project.redis.Unavailable when nobody knows whether
    it was used before.
    """
    if not isinstance(payload, str) or not 0 < len(payload) <= MAX_CHARACTERS:
        return False
    try:
        solved = Payload.from_base64(payload)
        right = any(
            verify_solution(solved, keys.derive("altcha", secret)).verified
            for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
        )
    except Exception as error:  # noqa: BLE001  (a stranger's JSON: the library raises all kinds of errors)
        logger.info("proof refused: unreadable, %s", type(error).__name__)
        return False
    if not right:
        logger.info("proof refused: forged, wrong or too late")
        return False
    # Two requests can bring the same solution at once. SET NX succeeds for only one of them.
    parameters = solved.challenge.parameters
    left = max(1, int((parameters.expires_at or 0) - time.time())) + SLACK_SECONDS
    fresh = redis.client().set(redis.key("proof", parameters.nonce), 1, nx=True, ex=left)
    if not fresh:
        logger.info("proof refused: used before")
    return bool(fresh)
