"""How a password is hashed: Argon2id as Django sets it, 100 MiB and two rounds, but on one core."""

from __future__ import annotations

from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2(Argon2PasswordHasher):
    """Django's, without its eight threads a hash: on a small machine each sign-in would stop all other requests.

    What a guesser pays is the same, the work is only not spread. Older hashes are read as ever, and replaced at the
    next sign-in.
    """

    parallelism = 1
