"""Debian's Chromium, or the one that CHROMIUM names; HEADED=1 shows its windows."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright


ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A host that is not this machine by its name, for what browsers do over TLS or here only.
    "--host-resolver-rules=MAP *.example.test 127.0.0.1",
]


def binary() -> str:
    """Return the path of the Chromium to use."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"


def launch(playwright: Playwright, **options: Any) -> Browser:
    """Start a Chromium."""
    return playwright.chromium.launch(
        executable_path=binary(), args=ARGUMENTS, headless=not os.environ.get("HEADED"), **options
    )
