"""The sign-in page of a new visitor: it is rendered for each of them, with DEBUG off as with DEBUG on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings as site
from django.test import Client

if TYPE_CHECKING:
    from pathlib import Path

    from django.test.client import _MonkeyPatchedWSGIResponse as Response

TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="(\w{64})"')
NONCE = re.compile(r'nonce="([^"]+)"')


@pytest.fixture(autouse=True)
def _in_production(settings: Any) -> None:
    settings.DEBUG = False


def visit(language: str = "en", path: str = "/login/", browser: Client | None = None) -> Response:
    """Open the page as somebody whose browser speaks a language."""
    answer = (browser or Client()).get(path, headers={"Accept-Language": language, "Host": "127.0.0.1"})
    assert answer.status_code == 200
    return answer


def plain(answer: Response) -> str:
    """Return a page without what is a visitor's own."""
    return NONCE.sub("nonce", TOKEN.sub("token", answer.content.decode()))


@pytest.mark.parametrize("debug", [False, True])
def test_a_changed_template_is_seen_by_the_next_visitor(settings: Any, tmp_path: Path, debug: bool) -> None:
    """Nothing is kept of the page that an earlier visitor was shown, so a site looks alike to its developer."""
    settings.DEBUG = debug
    before = visit().content.decode()
    assert "Changed here" not in before
    page = (site.BASE_DIR / "templates" / "accounts" / "login.html").read_text()
    (tmp_path / "accounts").mkdir()
    (tmp_path / "accounts" / "login.html").write_text(page.replace("<h1>", "<h1>Changed here: "))
    settings.TEMPLATES = [settings.TEMPLATES[0] | {"DIRS": [tmp_path, site.BASE_DIR / "templates"]}]
    assert "Changed here" in visit().content.decode()


def test_a_changed_setting_is_seen_by_the_next_visitor(settings: Any) -> None:
    assert "phone.js" not in _with_dev_phone(settings, on=False)
    assert "phone.js" in _with_dev_phone(settings, on=True)


def _with_dev_phone(settings: Any, *, on: bool) -> str:
    settings.DEV_PHONE = on
    return re.sub(r"\.[0-9a-f]{12}\.", ".", visit().content.decode())


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_each_visitor_has_a_token_and_a_nonce_of_their_own(language: str, settings: Any) -> None:
    """They fit the cookie and the policy of the same answer; everything else is the same for all new visitors."""
    pages = [visit(language) for _ in range(3)]
    settings.DEBUG = True
    made = visit(language)
    assert {plain(page) for page in pages} == {plain(made)}
    for page in pages:
        html = page.content.decode()
        assert len(set(TOKEN.findall(html))) == 1
        (nonce,) = set(NONCE.findall(html))
        assert f"'nonce-{nonce}'" in page["Content-Security-Policy"]
    for own in (TOKEN, NONCE):
        assert len({own.search(page.content.decode())[1] for page in pages}) == 3  # type: ignore[index]
    for name in ("sessionid", "csrftoken"):
        assert len({page.cookies[name].value for page in pages}) == 3
    assert {page["Vary"] for page in pages} == {made["Vary"]}
    for name in ("Cookie", "Accept-Language"):
        assert name in made["Vary"]
    assert all("private" in page["Cache-Control"] for page in pages), "no cache on the way keeps a token"


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


def test_what_an_address_asks_for_is_not_shown_to_others() -> None:
    wanted = visit(path="/login/?next=/password/").content.decode()
    assert 'value="/password/"' in wanted
    assert "/password/" not in visit().content.decode()


def test_who_comes_by_costs_no_query(django_assert_num_queries: Any, db: None) -> None:
    """Nor a row: a flood of first visits leaves nothing behind."""
    visit()
    with django_assert_num_queries(0):
        visit()
