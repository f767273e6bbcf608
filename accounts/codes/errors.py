"""Why a code is not issued, or does not sign anybody in: one exception for each answer that a view gives."""

from __future__ import annotations


class Unavailable(Exception):
    """Redis or the database is away. The visitor is asked to try again; no SMS will be sent for this request."""


class Refused(Exception):
    """No code may be requested now. The visitor sees how long to wait."""

    def __init__(self, seconds: float) -> None:
        """Keep how many seconds are left."""
        super().__init__()
        self.seconds = seconds


class TooFrequent(Refused):
    """The number's cooldown is running. The visitor sees the countdown, and their own request if one is under way."""


class LimitReached(Refused):
    """One of the limits is used up: of the number, the IP address, or the site. The visitor is not told which."""


class Wrong(Exception):
    """The digits are wrong, or belong to another number. The visitor sees how many attempts are left."""

    def __init__(self, tries_left: int | None = None) -> None:
        """Keep the attempts that are left, None when this one was not counted."""
        super().__init__()
        self.tries_left = tries_left


class Expired(Exception):
    """No code is open in this browser: it was used, guessed at too often, is too old, or there never was one."""
