"""Aliyun (阿里云短信): a key that may send, the approved signature (default: SMS_SENDER), and a template
with one placeholder, ${code}.
"""

from __future__ import annotations

from project.gateway_settings import Setting

SETTINGS = (
    Setting("ALIYUN_ACCESS_KEY_ID", required=True),
    Setting("ALIYUN_ACCESS_KEY_SECRET", required=True, secret=True),
    Setting("ALIYUN_SIGN_NAME", required=True, fallback="SMS_SENDER"),
    Setting("ALIYUN_TEMPLATE_CODE", required=True),
    Setting("ALIYUN_BASE_URL", default="https://dysmsapi.aliyuncs.com"),
    Setting("ALIYUN_RECEIPT_SECRET", secret=True),
)
