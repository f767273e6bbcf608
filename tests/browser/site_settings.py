"""The settings of a site to look at: as ever, with addresses for what is hard to come by, and perhaps longer texts."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.light_settings import *  # noqa: F403
from tests.support.light_settings import LOCALE_PATHS as OWN

ROOT_URLCONF = "tests.browser.site_urls"
# A folder with an English catalogue in which every text is longer: tests/browser/longer.py.
LOCALE_PATHS = [*([Path(os.environ["LONGER"])] if os.environ.get("LONGER") else []), *OWN]
