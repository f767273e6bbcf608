"""The settings of a site that has an app of its own."""

from __future__ import annotations

from project.settings import *  # noqa: F403
from project.settings import INSTALLED_APPS as OURS

INSTALLED_APPS = [*OURS, "tests.tasks.own_site"]
