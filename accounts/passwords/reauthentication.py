"""Whether a session has signed in recently enough to set a password.

The time is in the session itself: `User.last_login` is one for all browsers, so a login of the owner elsewhere would
vouch for a stolen session.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver

if TYPE_CHECKING:
    from django.contrib.sessions.backends.base import SessionBase
    from django.http import HttpRequest

KEY = "proved_at"
# Seconds. Long enough to choose a password, too short for a browser that is left open.
MAX_AGE_SECONDS = 5 * 60


def is_recent(session: SessionBase) -> bool:
    """Tell whether the login is recent (ASVS 5.0, 7.5.1). A login in the future, after a clock change, is not."""
    proved = session.get(KEY)
    return isinstance(proved, float) and 0 <= time.time() - proved <= MAX_AGE_SECONDS


@receiver(user_logged_in, dispatch_uid="accounts.passwords.reauthentication")
def note(request: HttpRequest, **_: object) -> None:
    request.session[KEY] = time.time()
