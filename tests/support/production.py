"""Settings of a site as it stands in the world: without DEBUG."""

from __future__ import annotations

from typing import Any

GOOD_KEY = "one two three four five six seven eight nine ten eleven"
# What a site in the world needs.
PRODUCTION_HTTPS = {
    "SECRET_KEY": GOOD_KEY,
    "PUBLIC_ORIGIN": "https://login.example.org",
    "SMS_GATEWAYS": "yuntongxun",
    "YUNTONGXUN_ACCOUNT_SID": "a" * 32,
    "YUNTONGXUN_AUTH_TOKEN": "b" * 32,
    "YUNTONGXUN_APP_ID": "c" * 32,
}
# What a site needs that stands in the world, but answers here without TLS.
# The gateway is a real one that nobody calls: no worker runs here.
PRODUCTION: dict[str, Any] = {
    "DEBUG": "0",
    "PUBLIC_ORIGIN": "http://127.0.0.1",
    "SMS_GATEWAYS": "yuntongxun",
    "YUNTONGXUN_ACCOUNT_SID": "a" * 32,
    "YUNTONGXUN_AUTH_TOKEN": "b" * 32,
    "YUNTONGXUN_APP_ID": "c" * 32,
}
