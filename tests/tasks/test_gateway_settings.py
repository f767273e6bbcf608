"""A gateway that lacks what it needs stops the start, with the one line that helps."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.provider import Provider
from tests.support.providers.aliyun import Aliyun
from tests.support.providers.tencent import Tencent
from tests.support.providers.twilio import Twilio

SECRET = "0123456789abcdefghijklmnopqrstuv"
WHOLE = {
    "yuntongxun": Provider(port=1).settings,
    "aliyun": Aliyun(port=1).settings,
    "tencent": Tencent(port=1).settings,
    "twilio": Twilio(port=1).settings,
}


def start(names: str, changes: dict[str, str]) -> str:
    """Load the settings in a process of their own, and return its last words."""
    environment = {"SMS_GATEWAYS": names}
    for name in names.split(","):
        environment |= WHOLE[name]
    done = subprocess.run(
        [sys.executable, "-c", "import project.settings"],
        env=os.environ | environment | changes,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr.strip().rpartition("\n")[2]


def test_a_chain_with_all_that_it_needs_starts() -> None:
    assert start("yuntongxun,aliyun,tencent,twilio", {"TWILIO_RECEIPT_SECRET": SECRET}) == ""


@pytest.mark.parametrize(
    "need",
    [
        *["YUNTONGXUN_ACCOUNT_SID", "YUNTONGXUN_AUTH_TOKEN", "YUNTONGXUN_APP_ID"],
        *["ALIYUN_ACCESS_KEY_ID", "ALIYUN_ACCESS_KEY_SECRET", "ALIYUN_SIGN_NAME", "ALIYUN_TEMPLATE_CODE"],
        *["TENCENT_SECRET_ID", "TENCENT_SECRET_KEY", "TENCENT_SDK_APP_ID", "TENCENT_TEMPLATE_ID"],
        *["TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_FROM"],
    ],
)
def test_what_a_chosen_gateway_needs_has_to_be_set(need: str) -> None:
    name = need.partition("_")[0].lower()
    said = start(name, {need: ""})
    assert need in said
    assert f"or leave {name} out" in said


def test_twilio_sends_from_a_number_or_from_a_service() -> None:
    assert start("twilio", {"TWILIO_FROM": "", "TWILIO_MESSAGING_SERVICE_SID": "MG" + "0" * 32}) == ""


@pytest.mark.parametrize("secret", ["short", "a/b" * 10, "秘密" * 10, "a" * 129])
def test_a_report_secret_has_to_be_part_of_an_address_and_hard_to_guess(secret: str) -> None:
    said = start("twilio", {"TWILIO_RECEIPT_SECRET": secret})
    assert "TWILIO_RECEIPT_SECRET cannot" in said
    assert secret not in said


def test_credentials_do_not_travel_in_the_clear_outside_ones_own_machine() -> None:
    changes = {"DEBUG": "", "PUBLIC_ORIGIN": "https://login.example.org", "TWILIO_BASE_URL": "http://api.twilio.com"}
    assert "TWILIO_BASE_URL is not an https address" in start("twilio", changes)
