"""Tencent (腾讯云短信): a key that may send, the SMS app's id, the approved signature (default: SMS_SENDER; not
needed abroad), and a template with two placeholders, {1} for the code and {2} for the minutes.
"""

from __future__ import annotations

from project.gateway_settings import Setting

SETTINGS = (
    Setting("TENCENT_SECRET_ID", required=True),
    Setting("TENCENT_SECRET_KEY", required=True, secret=True),
    Setting("TENCENT_SDK_APP_ID", required=True),
    Setting("TENCENT_SIGN_NAME", fallback="SMS_SENDER"),
    Setting("TENCENT_TEMPLATE_ID", required=True),
    Setting("TENCENT_REGION", default="ap-guangzhou"),
    Setting("TENCENT_BASE_URL", default="https://sms.tencentcloudapi.com"),
    Setting("TENCENT_RECEIPT_SECRET", secret=True),
)
