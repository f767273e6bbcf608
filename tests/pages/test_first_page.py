"""The sign-in page that is made once for everybody who comes for the first time: still each visitor's own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client

from accounts import first_page

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="(\w{64})"')
NONCE = re.compile(r'nonce="([^"]+)"')


@pytest.fixture(autouse=True)
def _nothing_made(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_page, "_pages", {})
    settings.DEBUG = False


def visit(language: str = "en", path: str = "/login/", browser: Client | None = None) -> Response:
    """Open the page as somebody whose browser speaks a language."""
    answer = (browser or Client()).get(path, headers={"Accept-Language": language, "Host": "127.0.0.1"})
    assert answer.status_code == 200
    return answer


def plain(answer: Response) -> str:
    """Return a page without what is a visitor's own."""
    return NONCE.sub("nonce", TOKEN.sub("token", answer.content.decode()))


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_the_second_visitor_gets_what_the_first_one_got(language: str, settings: Any) -> None:
    """But for the token and the nonce, which fit the cookie and the policy of the same answer."""
    pages = [visit(language) for _ in range(3)]
    assert len(first_page._pages) == 1, "or this test means nothing"
    settings.DEBUG = True
    made = visit(language)
    assert {plain(page) for page in pages} == {plain(made)}
    for page in pages:
        html = page.content.decode()
        assert len(set(TOKEN.findall(html))) == 1
        (nonce,) = set(NONCE.findall(html))
        assert f"'nonce-{nonce}'" in page["Content-Security-Policy"]
        assert b"\xff" not in page.content
        assert b"\xfe" not in page.content
    for own in (TOKEN, NONCE):
        assert len({own.search(page.content.decode())[1] for page in pages}) == 3  # type: ignore[index]
    for name in ("sessionid", "csrftoken"):
        assert len({page.cookies[name].value for page in pages}) == 3
    assert {page["Vary"] for page in pages} == {made["Vary"]}


def test_each_language_has_its_own() -> None:
    english, chinese = visit("en"), visit("zh-CN")
    assert 'lang="en"' in visit("en").content.decode()
    assert 'lang="zh-hans"' in visit("zh-CN").content.decode()
    assert plain(english) != plain(chinese)


def test_a_form_of_it_is_taken(db: None) -> None:
    """The token is of the visitor's own cookie; another visitor's is refused."""
    visit()
    browser = Client(enforce_csrf_checks=True)
    page, strangers = visit(browser=browser), visit()
    form = {"csrfmiddlewaretoken": TOKEN.search(page.content.decode())[1]}  # type: ignore[index]
    assert browser.post("/login/", form, headers={"Host": "127.0.0.1"}).status_code == 422
    form = {"csrfmiddlewaretoken": TOKEN.search(strangers.content.decode())[1]}  # type: ignore[index]
    assert browser.post("/login/", form, headers={"Host": "127.0.0.1"}).status_code == 403


def test_what_is_asked_for_with_the_address_is_not_kept_for_others() -> None:
    wanted = visit(path="/login/?next=/password/").content.decode()
    assert 'value="/password/"' in wanted
    assert first_page._pages == {}
    assert "/password/" not in visit().content.decode()


def test_who_comes_by_costs_no_query(django_assert_num_queries: Any, db: None) -> None:
    """Nor a row: a flood of first visits leaves nothing behind."""
    visit()
    with django_assert_num_queries(0):
        visit()
