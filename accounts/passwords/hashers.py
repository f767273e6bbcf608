"""Password hashing: Argon2id with Django's parameters (100 MiB, two rounds), but one thread."""

from __future__ import annotations

import unicodedata

from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2(Argon2PasswordHasher):
    """Django's hasher with one thread instead of eight: on a small machine each sign-in would stop all other requests.

    An attacker pays the same for a guess. Django reads hashes with other parameters, and replaces them at the next
    sign-in.
    """

    parallelism = 1


def composed(password: str) -> str:
    """Return a password in Unicode's NFC, as it is stored (NIST SP 800-63B-4, 3.1.1.2)."""
    return unicodedata.normalize("NFC", password)


def spellings(password: str) -> list[str]:
    """Return the spellings to check against a hash: composed, and as typed if that differs.

    The second is for hashes that were made elsewhere, or before passwords were composed. Their number depends only on
    the input, so the time of the check reveals nothing about the account.
    """
    return list(dict.fromkeys([composed(password), password]))
