"""How a password is hashed: Argon2id as Django sets it, 100 MiB and two rounds, but on one core."""

from __future__ import annotations

import unicodedata

from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2(Argon2PasswordHasher):
    """Django's, without its eight threads a hash: on a small machine each sign-in would stop all other requests.

    What a guesser pays is the same, the work is only not spread. Older hashes are read as ever, and replaced at the
    next sign-in.
    """

    parallelism = 1


def composed(password: str) -> str:
    """Return a password in Unicode's NFC, as it is kept (NIST SP 800-63B-4, 3.1.1.2)."""
    return unicodedata.normalize("NFC", password)


def spellings(password: str) -> list[str]:
    """Return the texts to be checked against a hash: composed, and as typed where that differs.

    The second is for hashes from before passwords were composed, or from elsewhere. How many there are depends on what
    was typed alone, so the time that it takes says nothing about an account.
    """
    return list(dict.fromkeys([composed(password), password]))
