"""Apprise: the URL of a service in Apprise's own form, with {to} (+8613800138000) or {digits} (8613800138000) where the
number goes. Apprise is not installed with Latchkey: .venv/bin/pip install apprise. It cannot say why a message failed,
so no other gateway is tried after it: put it last in SMS_GATEWAYS.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from project import env
from project.gateway_settings import Setting

SETTINGS = (Setting("APPRISE_URL", required=True, secret=True),)


def check(values: Mapping[str, str]) -> None:
    """Refuse a start without the library, and a URL that would send every code to the same place."""
    if find_spec("apprise") is None:
        env.refuse("SMS_GATEWAYS", "names 'apprise', which is not installed", "Install it: pip install apprise.")
    if "{to}" not in values["APPRISE_URL"] and "{digits}" not in values["APPRISE_URL"]:
        env.refuse("APPRISE_URL", "has no place for the number", "Write {to} or {digits} where the number goes.")
