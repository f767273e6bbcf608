"""The settings of that site: as ever, with its pages."""

from __future__ import annotations

from tests.support.light_settings import *  # noqa: F403

ROOT_URLCONF = "tests.browser.private_site.urls"
