"""The settings of that site: as ever, with its views."""

from __future__ import annotations

from tests.support.light_settings import *  # noqa: F403

ROOT_URLCONF = "tests.pages.own_pages.urls"
