"""Calls of the providers' SDKs, with a clock and a nonce that are given. Runs where only the SDKs are installed.

    echo '{"url": ..., "sid": ...}' | python sdk.py twilio

Each function takes the values that our own request had, sends the same message by the SDK's public interface, and
returns what the SDK made of the answer.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any
from urllib.parse import urlsplit


def twilio(url: str, sid: str, token: str, fields: dict[str, Any]) -> Any:
    """Send by twilio-python. It has neither a clock nor a nonce."""
    from twilio.rest import Client

    client = Client(sid, token)
    client.api.base_url = url
    return client.messages.create(**fields).sid


def twilio_signature(token: str, url: str, form: dict[str, str]) -> Any:
    """Return X-Twilio-Signature, as twilio-python checks it."""
    from twilio.request_validator import RequestValidator

    return RequestValidator(token).compute_signature(url, form)


def twilio_accepts(token: str, url: str, form: dict[str, str], signature: str) -> Any:
    """Tell whether twilio-python takes a status callback for Twilio's."""
    from twilio.request_validator import RequestValidator

    return RequestValidator(token).validate(url, form, signature)


def tencent(url: str, key_id: str, key: str, region: str, fields: dict[str, Any], timestamp: int) -> Any:
    """Send by tencentcloud-sdk-python-sms, at that time."""
    from tencentcloud.common import credential
    from tencentcloud.common.profile.client_profile import ClientProfile
    from tencentcloud.common.profile.http_profile import HttpProfile
    from tencentcloud.sms.v20210111 import models, sms_client

    time.time = lambda: float(timestamp)
    parts = urlsplit(url)
    http = HttpProfile(protocol=parts.scheme, endpoint=parts.netloc)
    client = sms_client.SmsClient(credential.Credential(key_id, key), region, ClientProfile(httpProfile=http))
    request = models.SendSmsRequest()
    request.from_json_string(json.dumps(fields))
    return client.SendSms(request).SendStatusSet[0].SerialNo


def aliyun(url: str, key_id: str, key: str, fields: dict[str, str], date: str, nonce: str) -> Any:
    """Send by alibabacloud-dysmsapi20170525: SendSms as it is made for."""
    from alibabacloud_dysmsapi20170525 import models

    names = {"PhoneNumbers", "SignName", "TemplateCode", "TemplateParam", "OutId"}
    assert set(fields) == names
    request = models.SendSmsRequest().from_map(fields)
    return _aliyun(url, key_id, key, date, nonce).send_sms(request).body.biz_id


def aliyun_form(url: str, key_id: str, key: str, fields: dict[str, str], date: str, nonce: str) -> Any:
    """Send by the same client's generic call, with the fields in the body."""
    from alibabacloud_tea_openapi import utils_models
    from darabonba.runtime import RuntimeOptions

    params = utils_models.Params(
        action="SendSms", version="2017-05-25", protocol="HTTP", pathname="/", method="POST", auth_type="AK",
        style="RPC", req_body_type="formData", body_type="json",
    )  # fmt: skip
    client = _aliyun(url, key_id, key, date, nonce)
    answer = client.call_api(params, utils_models.OpenApiRequest(body=fields), RuntimeOptions())
    return answer["body"]["BizId"]


def _aliyun(url: str, key_id: str, key: str, date: str, nonce: str) -> Any:
    from alibabacloud_dysmsapi20170525.client import Client
    from alibabacloud_tea_openapi import utils, utils_models

    utils.Utils.get_timestamp = staticmethod(lambda: date)
    utils.Utils.get_nonce = staticmethod(lambda: nonce)
    parts = urlsplit(url)
    config = utils_models.Config(
        access_key_id=key_id, access_key_secret=key, endpoint=parts.netloc, protocol=parts.scheme
    )
    return Client(config)


def yuntongxun(url: str, sid: str, token: str, app_id: str, fields: dict[str, Any], timestamp: str) -> Any:
    """Send by ronglian_sms_sdk, at that time. It prints what it does, so the last line is ours."""
    from ronglian_sms_sdk import SmsSDK

    moment = time.strptime(timestamp, "%Y%m%d%H%M%S")
    time.localtime = lambda *_: moment
    SmsSDK.url = url
    answer = SmsSDK(sid, token, app_id).sendMessage(fields["templateId"], fields["to"], tuple(fields["datas"]))
    return json.loads(answer)["templateSMS"]["smsMessageSid"]


if __name__ == "__main__":
    answer = globals()[sys.argv[1]](**json.load(sys.stdin))
    print(json.dumps(answer))  # noqa: T201
