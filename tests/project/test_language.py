"""LANGUAGE_CODE is the language of whoever has asked for none of ours."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.numbers import number
from tests.support.stack import Stack
from tests.tools.catalogue import compile_catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator

CHINESE = re.compile(r"[\u4e00-\u9fff]{4}")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site in China."""
    compile_catalogue()
    with Stack(tmp_path_factory.mktemp("site"), LANGUAGE_CODE="zh-cn") as stack:
        yield stack


@pytest.mark.parametrize(
    ("wish", "language"), [("", "zh-hans"), ("fr, de;q=0.5", "zh-hans"), ("en", "en"), ("en-GB, zh;q=0.5", "en")]
)
def test_pages_error_pages_and_sms_are_in_that_language(site: Stack, wish: str, language: str) -> None:
    person = site.person(language=wish)
    assert f'<html lang="{language}"' in person.get("/login/").text
    expired = person.http.post("/login/", headers={"Accept": "text/html"})
    assert expired.status_code == 403
    assert bool(CHINESE.search(expired.text.split("<main")[1].split("</main")[0])) is (language == "zh-hans")
    mobile = number()
    assert person.ask(mobile).status_code == 202
    site.phone.code_for(mobile)
    (arrived,) = [message for message in site.phone.messages if message.to == f"+86{mobile}"]
    assert bool(CHINESE.search(arrived.text)) is (language == "zh-hans"), arrived.text


@pytest.mark.parametrize("wish", ["zh-TW", "zh-HK", "zh-Hant-TW", "zh-TW, en;q=0.8", "zh-SG", "zh", "zh-CN"])
def test_every_chinese_browser_gets_the_one_chinese_that_there_is(stack: Stack, wish: str) -> None:
    """There is no catalogue in traditional characters, and simplified ones are nearer than English."""
    answer = stack.person(language=wish).get("/login/")
    assert answer.headers["Content-Language"] == "zh-hans"
    assert '<html lang="zh-hans"' in answer.text
