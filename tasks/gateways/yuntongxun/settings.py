"""Yuntongxun (容联云): the account's sid and token, the app's id, and the approved template, which gets two values: the
code, and the minutes for which it works. Template 1 is the provider's test template and reaches registered test numbers
only.
"""

from __future__ import annotations

from project.gateway_settings import Setting

SETTINGS = (
    Setting("YUNTONGXUN_ACCOUNT_SID", required=True),
    Setting("YUNTONGXUN_AUTH_TOKEN", required=True, secret=True),
    Setting("YUNTONGXUN_APP_ID", required=True),
    Setting("YUNTONGXUN_TEMPLATE_ID", default="1"),
    Setting("YUNTONGXUN_BASE_URL", default="https://app.cloopen.com:8883"),
    Setting("YUNTONGXUN_RECEIPT_SECRET", secret=True),
)
