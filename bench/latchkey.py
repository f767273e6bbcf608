"""Latchkey's settings for the bench: its own, without what DEBUG costs, and with the dev phone for a provider.

The dev phone wants DEBUG=1 in the environment. Django would then keep every SQL statement, which no real site does.
"""

from __future__ import annotations

from project.settings import *  # noqa: F403

DEBUG = False
