"""The settings of a site in a test: as ever, but a password's hash costs next to nothing."""

from __future__ import annotations

from project.settings import *  # noqa: F403

PASSWORD_HASHERS = ["tests.support.light_hasher.LightArgon2"]
