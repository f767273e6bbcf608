"""The Chinese catalogue is whole, says what the English says, and reaches visitors, programs, sockets and handsets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.numbers import number
from tests.tools import catalogue

if TYPE_CHECKING:
    from babel.messages.catalog import Message

    from tests.support.stack import Stack

PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%%")
CHINESE = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    """`make` has compiled the catalogue before the tests; without make it is done here, before a site starts."""
    catalogue.compile_catalogue()


def both(message: Message) -> tuple[list[str], list[str]]:
    """Return a message's sentences, and their translations."""
    ours = [message.id] if isinstance(message.id, str) else list(message.id)
    theirs = [message.string] if isinstance(message.string, str) else list(message.string or ())
    return ours, theirs


def test_every_marked_sentence_is_in_the_catalogue_and_nothing_else() -> None:
    marked = {(message.context, message.id) for message in catalogue.marked() if message.id}
    assert len(marked) > 100, "or this test means nothing"
    there = {(message.context, message.id) for message in catalogue.translated() if message.id}
    assert there == marked, "say: python -m tests.tools.catalogue"


def test_nothing_is_left_untranslated_guessed_or_kept_for_old_times() -> None:
    found = catalogue.translated()
    assert not found.obsolete
    for message in found:
        _ours, theirs = both(message)
        assert all(theirs), message.id
        assert not message.fuzzy or not message.id, message.id


def test_a_translation_has_the_placeholders_of_its_sentence() -> None:
    for message in catalogue.translated():
        ours, theirs = both(message)
        wanted = {name for sentence in ours for name in PLACEHOLDER.findall(sentence)}
        for sentence in theirs if message.id else []:
            assert set(PLACEHOLDER.findall(sentence)) == wanted, message.id


def test_a_translation_ends_as_its_sentence_does() -> None:
    for message in catalogue.translated():
        ours, theirs = both(message)
        if message.id and not ours[-1].endswith("?"):
            assert ours[-1].endswith(".") == theirs[-1].endswith("。"), ours[-1]


def test_the_file_names_no_lines_so_that_it_changes_only_when_a_sentence_does() -> None:
    written = catalogue.PO.read_text()
    assert catalogue.fresh().decode() == written, "say: python -m tests.tools.catalogue"
    assert not re.search(r"^#:.*:\d", written, re.MULTILINE)


def test_a_program_gets_its_error_in_chinese(stack: Stack) -> None:
    person = stack.person(language="zh-CN")
    answer = person.login("", "").json()
    assert answer["code"] == "PARAM_MISSING"
    assert "参数不全" in answer["errmsg"]


@pytest.mark.parametrize("wish", ["zh-CN,zh;q=0.9,en;q=0.5", "zh-Hans", "zh"])
def test_a_browser_that_wishes_chinese_gets_a_chinese_page(stack: Stack, wish: str) -> None:
    page = stack.person(language=wish).get().text
    assert 'lang="zh-hans"' in page
    assert "获取验证码" in page
    assert "Send code" not in page


@pytest.mark.parametrize("wish", ["en", "de-DE,de;q=0.9", ""])
def test_everybody_else_gets_an_english_page(stack: Stack, wish: str) -> None:
    page = stack.person(language=wish).get().text
    assert 'lang="en"' in page
    assert "Send code" in page


def test_the_switch_wins_over_the_browsers_wish(stack: Stack) -> None:
    person = stack.person(language="en")
    person.page("/i18n/setlang/", language="zh-hans", next="/login/")
    assert "获取验证码" in person.get().text
    assert "参数不全" in person.login("", "").json()["errmsg"]


def test_a_refused_token_is_explained_in_chinese(stack: Stack) -> None:
    person = stack.person(language="zh-CN")
    answer = person.http.post("/code/", data={"mobile": number()}, headers={"Accept": "text/html"})
    assert answer.status_code == 403
    assert "页面已过期" in answer.text


def test_the_sms_and_the_pushes_speak_the_language_of_the_page(stack: Stack) -> None:
    person = stack.person(language="zh-CN")
    page = person.open()
    mobile = number()
    assert person.ask(mobile).status_code == 202
    leaf = page.wait_for("delivery", state="sent")
    assert leaf["data-attempt"] == "1"
    # The leaf's own text stands in the elements within it.
    assert any("已发送" in frame for frame in page.frames)
    text = next(sms.text for sms in stack.phone.wait_for(1) if sms.to == f"+86{mobile}")
    assert re.match(r"【Latchkey】验证码 [0-9]{6}，5 分钟内有效，请勿告诉他人。\n\n@127\.0\.0\.1 #[0-9]{6}$", text)


@pytest.mark.parametrize(
    ("language", "asked", "came_in"),
    [("zh-CN", "发送成功", "登录成功"), ("en", "Your code is on its way.", "Signed in.")],
)
def test_a_program_is_told_of_success_in_words(stack: Stack, language: str, asked: str, came_in: str) -> None:
    person = stack.person(language=language)
    mobile = number()
    assert person.ask(mobile).json()["errmsg"].startswith(asked)
    answer = person.enter(stack.phone.code_for(mobile)).json()
    assert (answer["code"], answer["errmsg"][: len(came_in)]) == ("OK", came_in)


# The words that Chinese sites use begin each sentence; what helps comes after them.
BEGINS = {
    "PARAM_MISSING": "参数不全",
    "USERNAME_FORMAT": "用户名格式有误",
    "PASSWORD_FORMAT": "密码格式有误",
    "CREDENTIALS": "账号或者密码错误",
    "SMS_TOO_FREQUENT": "频繁发送",
}


def test_every_error_a_program_can_meet_is_translated(stack: Stack) -> None:
    person = stack.person(language="zh-CN")
    mobile = number()
    answers = [
        person.login("", ""),
        person.login("a", "long enough"),
        person.login("nobody", "x" * 5000),
        person.login("nobody", "long enough"),
        person.ask("123"),
        person.enter("000000"),
        person.enter("abc"),
        person.ask(mobile),
        person.ask(mobile),
    ]
    said = {answer.json()["code"]: answer.json()["errmsg"] for answer in answers if answer.json()["code"] != "OK"}
    assert set(said) == {
        "PARAM_MISSING", "USERNAME_FORMAT", "PASSWORD_FORMAT", "CREDENTIALS", "MOBILE_FORMAT", "SMS_CODE_EXPIRED",
        "SMS_CODE_WRONG", "SMS_TOO_FREQUENT",
    }  # fmt: skip
    for word, sentence in said.items():
        assert sentence.startswith(BEGINS.get(word, "")), word
        assert CHINESE.search(sentence), word
