"""How long ago whoever holds a session proved who they are.

Kept in the session itself: `User.last_login` is one for all browsers, so the owner's login elsewhere would vouch for
a session that somebody else has taken.
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
# Seconds: long enough to choose a password, too short for a browser that was left open.
FRESH = 5 * 60


def is_fresh(session: SessionBase) -> bool:
    """Tell whether the login was just now (ASVS 5.0, 7.5.1). A clock that was set back makes nothing fresh."""
    proved = session.get(KEY)
    return isinstance(proved, float) and 0 <= time.time() - proved <= FRESH


@receiver(user_logged_in, dispatch_uid="accounts.passwords.reauthentication")
def note(request: HttpRequest, **_: object) -> None:
    """Write the time of a login into its session, by whichever page it came."""
    request.session[KEY] = time.time()
