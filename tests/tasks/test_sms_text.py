"""The operator's own wording of a text message: what is refused at the start, and what arrives."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from project import env, sms_text
from tasks.models import Delivery
from tasks.segments import one_segment, unused_texts
from tasks.sms import compose

if TYPE_CHECKING:
    from pytest_django import Settings


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("Your code has arrived.", "has no place for the code"),
        ("{minutes} minutes", "has no place for the code"),
        ("{code} {", "has a brace without its other half"),
        ("}{code}", "has a brace without its other half"),
        ("{code} {phone}", "has {phone}"),
        ("{code.__class__}", "has {code.__class__}"),
        ("{code!r}", "has {code}"),
        ("{code:>9}", "has {code}"),
        ("{code} {}", "has {}"),
        ("{code} {0}", "has {0}"),
        ("{code}\n@login.example.org #{code}", "has a line that begins with @"),
        ("{code}\n  @ us", "has a line that begins with @"),
    ],
)
def test_a_text_that_would_not_carry_its_code_is_refused(written: str, why: str) -> None:
    with pytest.raises(env.BadSetting) as caught:
        sms_text.checked("SMS_TEXT_EN", written)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"SMS_TEXT_EN {why}"), line
    assert "Write" in line or "Leave it out" in line


@pytest.mark.parametrize(
    ("language", "wording", "words"),
    [
        ("en", "{name}: {code}, {minutes} min. {{Thanks}}", "Acme: {0}, 5 min. {{Thanks}}"),
        ("zh-hans", "【{name}】{code}，{minutes} 分钟内有效", "【Acme】{0}，5 分钟内有效"),
    ],
)
@pytest.mark.parametrize("host", ["login.example.org", "xn--bcher-kva.example"])
def test_the_line_for_the_browser_stays_last(
    settings: Settings, language: str, wording: str, words: str, host: str
) -> None:
    """WICG, Origin-bound one-time codes: the last line is @host #code, with the site's own host."""
    settings.PUBLIC_HOST, settings.SITE_NAME = host, "Acme"
    settings.SMS_TEXTS = {language: sms_text.checked("SMS_TEXT_EN", wording)}
    row = Delivery(mobile="+8613800138000", purpose="login", language=language)
    message = compose(row, timedelta())
    assert message.text == f"{words.format(message.code)}\n\n@{host} #{message.code}"


@pytest.mark.parametrize(("sender", "name"), [("", "Acme Orchards"), ("Acme", "Acme")])
def test_our_own_text_names_the_site(settings: Settings, sender: str, name: str) -> None:
    settings.SITE_NAME, settings.SMS_SENDER = "Acme Orchards", sender
    english, chinese = (
        compose(Delivery(mobile="+8613800138000", purpose="login", language=language), timedelta()).text
        for language in ("en", "zh-hans")
    )
    assert f" is your {name} code. " in english
    assert chinese.startswith(f"【{name}】验证码 ")


def test_a_text_of_more_than_one_part_is_told_with_the_setting_to_change(settings: Settings) -> None:
    settings.SMS_GATEWAYS, settings.PUBLIC_HOST = ["twilio"], "a.example"
    settings.SMS_TEXTS = {"en": "{code} " + "x" * 150, "zh-hans": "{code}"}
    (found,) = one_segment(None)
    assert "SMS in English has 2 parts" in found.msg
    assert "SMS_TEXT_EN" in str(found.hint)


@pytest.mark.parametrize(("gateways", "told"), [(["aliyun", "tencent"], 1), (["aliyun", "twilio"], 0), (["phone"], 0)])
def test_a_text_that_no_gateway_sends_is_told(settings: Settings, gateways: list[str], told: int) -> None:
    settings.SMS_GATEWAYS = gateways
    settings.SMS_TEXTS = {"en": "", "zh-hans": "{code}"}
    found = unused_texts(None)
    assert len(found) == told
    assert all("SMS_TEXT_ZH is not used" in one.msg for one in found)
