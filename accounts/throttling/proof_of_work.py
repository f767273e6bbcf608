"""Proof of humanity without a third party: ALTCHA. The visitor's browser works for a second, and nobody is looked at.

It does not tell a person from a machine: it makes each request cost something, which hurts who asks by the thousand.
A challenge says nothing about whom it was given to, and lies nowhere until it is solved: it is signed, and believed for
that. A solution works once.
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

# What every browser does by itself, and fast. The stronger scrypt and Argon2 would come as WebAssembly, which our
# Content-Security-Policy refuses.
ALGORITHM = "PBKDF2/SHA-256"
# Rounds of a single try. So few that handing out a challenge and checking a solution cost us half a millisecond each;
# how many tries the browser needs at most is ALTCHA_COST.
ROUNDS = 1000
# Seconds to solve it and to send it in. A slow phone with the hardest of them needs some ten.
LIFETIME = 5 * 60
# Seconds that a used one is remembered beyond its end: the clocks of two web machines are never quite the same.
SLACK = 60
# Characters. A real one has about 600.
LONGEST = 2000


class Needed(Exception):
    """A limit is near, and this visitor may be a machine. The visitor's browser is given a small sum to work out."""


def challenge() -> dict[str, Any]:
    """Return a fresh challenge, as ALTCHA's widget and libraries take it (proof of work version 2)."""
    made = create_challenge(
        ALGORITHM,
        ROUNDS,
        # From 0 on: a lower half that is never drawn would be work that only the honest do.
        counter=secrets.randbelow(settings.ALTCHA_COST),
        expires_at=int(time.time()) + LIFETIME,
        hmac_secret=keys.derive("altcha"),
    )
    return made.to_dict()


def verify(payload: str) -> bool:
    """Tell whether this is the solution of a challenge of ours, and use it up: a second time it is none.

    `payload` is the form's field `altcha`, whatever a stranger has written into it. Raises project.redis.Unavailable
    when it cannot be known whether it was used before.
    """
    if not isinstance(payload, str) or not 0 < len(payload) <= LONGEST:
        return False
    try:
        solved = Payload.from_base64(payload)
        right = any(
            verify_solution(solved, keys.derive("altcha", secret)).verified
            for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
        )
    except Exception as error:  # noqa: BLE001  (a stranger's JSON: the library reads it, and stumbles in many ways)
        logger.info("proof refused: unreadable, %s", type(error).__name__)
        return False
    if not right:
        logger.info("proof refused: forged, wrong or too late")
        return False
    # Signed by us from here on. Two requests can bring the same one at once: SET NX says yes to only one of them.
    parameters = solved.challenge.parameters
    left = max(1, int((parameters.expires_at or 0) - time.time())) + SLACK
    fresh = redis.client().set(redis.key("proof", parameters.nonce), 1, nx=True, ex=left)
    if not fresh:
        logger.info("proof refused: used before")
    return bool(fresh)
