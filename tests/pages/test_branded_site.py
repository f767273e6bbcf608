"""A site under its own name: nothing that a visitor gets names the product."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import httpx
import pytest

from tests.support.numbers import number
from tests.support.production import PRODUCTION
from tests.support.stack import ROOT, Stack
from tests.tools import catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LANGUAGES = ["en", "zh-CN"]
MARK = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><circle cx="4" cy="4" r="4" fill="#0b7a5c"/></svg>'
NAME = "Acme & Sons"
ESCAPED = "Acme &amp; Sons"
LINKS: dict[str, str] = {
    "TERMS_URL": "https://www.example.org/terms/?a=1&b=2",
    "PRIVACY_URL": "/privacy/",
    "SUPPORT_URL": "mailto:help@example.org",
    "ICP_NUMBER": "京ICP备12345678号-1",
}


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    catalogue.compile_catalogue()


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The settings of a site that has everything of its own, with a folder outside the clone."""
    folder = tmp_path_factory.mktemp("acme")
    (folder / "static").mkdir()
    (folder / "static" / "acme.css").write_text(".top { border-bottom: 3px solid; }\n")
    (folder / "templates").mkdir()
    (folder / "templates" / "site_head.html").write_text(
        '{% load static %}<link rel="stylesheet" href="{% static \'acme.css\' %}">\n'
    )
    (folder / "templates" / "404.html").write_text(
        '{% extends "error.html" %}\n{% block title %}Gone fishing{% endblock %}\n'
    )
    (folder / "templates" / "home").mkdir()
    (folder / "templates" / "home" / "index.html").write_text(
        '{% extends "home/index.html" %}\n{% block content %}{{ block.super }}<p>From our trees.</p>{% endblock %}\n'
    )
    (folder / "mark.svg").write_text(MARK)
    return {
        "SITE_NAME": NAME,
        "SITE_MARK": str(folder / "mark.svg"),
        "SITE_COLOUR": "#0b7a5c",
        "SITE_DIR": str(folder),
        "ADMIN": "1",
        **LINKS,
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, settings: dict[str, Any]) -> Iterator[Stack]:
    """The site on a developer's machine: with its SMS, and the dev pages."""
    with Stack(tmp_path_factory.mktemp("site"), **settings) as stack:
        yield stack


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory, settings: dict[str, Any]) -> Iterator[Stack]:
    """The site as it stands in the world: with its error pages."""
    with Stack(tmp_path_factory.mktemp("public"), workers=0, **PRODUCTION | settings) as stack:
        yield stack


def is_clean(answer: httpx.Response) -> None:
    """Fail if the answer names the product: in its body, a header, a cookie, or a file that the page loads."""
    headers = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
    assert "latchkey" not in (answer.text + headers + str(answer.url)).lower(), answer.url


def files_of(page: str) -> set[str]:
    """Return what a page loads or names as its picture, by path."""
    found = set(re.findall(r'(?:href|src|content|data-[a-z]+)="(?:https?://[^"/]+)?(/static/[^"#]+)', page))
    assert len(found) >= 2, "or this test means nothing"
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_page_names_the_product(site: Stack, language: str) -> None:
    person = site.person(language=language)
    pages = [person.get(path) for path in ("/", "/login/", "/login/?next=/password/", "/dev/queue/", "/dev/style/")]
    person.get()
    mobile = number()
    pages += [person.page("/login/", username="nobody", password="wrong, I fear")]
    pages += [person.page("/code/", mobile=mobile), person.get("/login/")]
    code = site.phone.code_for(mobile)
    pages += [person.page("/login/code/", code=str((int(code) + 1) % 1_000_000).zfill(6))]
    assert person.enter(code).status_code == 200
    pages += [person.get(path) for path in ("/", "/login/", "/password/", "/dev/phone/", "/state/")]
    assert sum(f"· {ESCAPED}</title>" in page.text for page in pages) >= 8
    for page in pages:
        assert page.status_code in {200, 202, 422}, page.url
        assert 'lang="en"' in page.text or 'lang="zh-hans"' in page.text or "/state/" in str(page.url)
        is_clean(page)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_file_that_a_page_loads_names_the_product(public: Stack, language: str) -> None:
    person = public.person(language=language)
    names = {name for path in ("/", "/login/", "/nowhere/") for name in files_of(person.get(path).text)}
    for name in names:
        answer = person.get(name)
        assert answer.status_code == 200, name
        if not answer.headers["Content-Type"].startswith("image/png"):
            is_clean(answer)
    assert any(name.startswith("/static/mark.") for name in names)
    assert not any("card" in name or "touch" in name or "favicon" in name for name in names)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_error_page_names_the_product(public: Stack, language: str) -> None:
    person = public.person(language=language)
    html = {"Accept": "text/html", "Accept-Language": language}
    broken = public.broken_session()
    answers = {
        "the host": (400, httpx.get(f"{public.url}/login/", headers={**html, "Host": "evil.example"})),
        "the body": (400, httpx.post(f"{public.url}/code/", headers=html, content=b"x" * 100_000)),
        "the token": (403, httpx.post(f"{public.url}/code/", headers=html)),
        "the address": (404, person.get("/nowhere/")),
        "the method": (405, person.get("/code/")),
        "a bug": (500, httpx.get(f"{public.url}/", headers=html, cookies={"sessionid": broken})),
        "a program": (422, person.login("", "")),
        "a probe": (200, person.get("/healthz")),
        "a queue without a worker": (503, person.get("/readyz")),
    }
    for name, (status, answer) in answers.items():
        assert answer.status_code == status, name
        is_clean(answer)
        if answer.status_code >= 400 and name not in {"a program", "a queue without a worker"}:
            assert f"· {ESCAPED}</title>" in answer.text, name
            assert '<img class="mark"' in answer.text, name
            assert LINKS["ICP_NUMBER"] in answer.text, name


@pytest.mark.parametrize("language", ["en", "zh-hans"])
@pytest.mark.parametrize("template", ["400", "403", "403_csrf", "405", "429", "500", "503", "away"])
def test_no_page_for_bad_times_names_the_product(public: Stack, template: str, language: str) -> None:
    """Those as well that no request of a test meets. Django renders them without a request."""
    page = public.shell(
        "from django.template.loader import render_to_string; from django.utils import translation\n"
        f"with translation.override({language!r}): print(render_to_string('{template}.html'))"
    )
    assert f"· {ESCAPED}</title>" in page
    assert "latchkey" not in page.lower()


def test_the_admin_has_the_site_s_name(site: Stack) -> None:
    site.user("marta", password="correct horse battery", is_staff=True, is_superuser=True)
    person = site.person()
    person.login("marta", "correct horse battery")
    page = person.get("/admin/")
    assert f"| {ESCAPED}</title>" in page.text
    is_clean(page)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_text_message_has_the_site_s_name(site: Stack, language: str) -> None:
    person, mobile = site.person(language=language), number()
    person.ask(mobile)
    site.phone.code_for(mobile)
    text = next(sms.text for sms in site.phone.wait_for(1) if sms.to == f"+86{mobile}" and sms.code)
    assert "latchkey" not in text.lower()
    assert NAME in text
    assert re.search(r"\n\n@127\.0\.0\.1 #[0-9]{6}\Z", text)


def test_the_pages_of_the_proxy_are_the_site_s_own(public: Stack, tmp_path: Path) -> None:
    """They are whole: the mark is in the file itself, and the policy of the file allows it."""
    public.manage("write_error_pages", str(tmp_path))
    pages = sorted(tmp_path.glob("*/*.html"))
    assert len(pages) == 6
    for path in pages:
        page = path.read_text()
        assert "latchkey" not in page.lower(), path
        assert f"· {ESCAPED}</title>" in page
        assert '<img class="mark" src="data:image/svg+xml;base64,' in page
        assert "img-src data:;" in page
        assert "--accent:#0b7a5c" in page
        assert LINKS["ICP_NUMBER"] in page


@pytest.mark.parametrize("path", ["/", "/login/"])
def test_a_link_to_the_site_shows_its_name_and_no_picture_of_ours(public: Stack, path: str) -> None:
    page = public.person().get(path).text
    facts = dict(re.findall(r'<meta (?:property|name)="([^"]+)" content="([^"]*)">', page))
    assert facts["og:site_name"] == ESCAPED
    assert (
        facts["description"]
        == facts["og:description"]
        == (f"Sign in to {ESCAPED} with a password or a code by text message.")
    )
    assert not {"og:image", "twitter:card"} & set(facts), "an SVG is no picture for a chat"


def test_the_icons_are_the_site_s_mark(public: Stack) -> None:
    icon = httpx.get(f"{public.url}/favicon.ico", follow_redirects=True)
    assert icon.text == MARK
    assert icon.headers["Content-Type"] == "image/svg+xml; charset=utf-8"
    page = public.person().get().text
    assert re.search(r'<link rel="icon" type="image/svg\+xml" href="/static/mark\.[0-9a-f]{12}\.svg">', page)
    # iOS shows no SVG there, and ours is not the site's.
    assert httpx.get(f"{public.url}/apple-touch-icon.png", follow_redirects=True).status_code == 404


def test_the_colour_is_in_the_one_stylesheet(public: Stack) -> None:
    (name,) = (name for name in files_of(public.person().get().text) if "/page." in name and name.endswith(".css"))
    sheet = public.get(name).text
    assert ":root{--accent:#0b7a5c;--on-accent:#ffffff;" in sheet
    assert "@media (prefers-color-scheme:dark){:root{--accent:#0b7a5c;" in sheet


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_foot_of_each_page_has_the_links(public: Stack, language: str) -> None:
    person = public.person(language=language)
    for path in ("/", "/login/", "/nowhere/"):
        foot = person.get(path).text.rpartition("<footer")[2]
        found = dict(re.findall(r'<a href="([^"]+)"[^>]*>([^<]+)</a>', foot))
        assert list(found) == [
            "https://www.example.org/terms/?a=1&amp;b=2", "/privacy/", "mailto:help@example.org",
            "https://beian.miit.gov.cn/",
        ], path  # fmt: skip
        assert found["https://beian.miit.gov.cn/"] == LINKS["ICP_NUMBER"]
        assert found["/privacy/"] == ("Privacy policy" if language == "en" else "隐私政策")


@pytest.mark.parametrize(
    ("language", "agrees", "made"),
    [
        ("en", "By continuing, you agree to the ", "creates your account"),
        ("zh-CN", "继续即表示您已阅读并同意", "自动为您创建账号"),
    ],
)
def test_who_signs_in_reads_what_it_means(public: Stack, language: str, agrees: str, made: str) -> None:
    page = public.person(language=language).get().text
    (consent,) = re.findall(r'<div class="consent when-out">(.*?)</div>', page, re.DOTALL)
    assert agrees in consent
    assert set(re.findall(r'href="([^"]+)"', consent)) == {"https://www.example.org/terms/?a=1&amp;b=2", "/privacy/"}
    assert made in consent


def test_a_template_of_the_site_s_folder_replaces_ours(public: Stack) -> None:
    """Also one that extends the very one that it replaces, and a stylesheet of the site's own on every page."""
    person = public.person()
    home = person.get("/").text
    assert "<p>From our trees.</p>" in home
    assert f"<h1>{ESCAPED}</h1>" in home
    gone = person.get("/nowhere/").text
    assert f"<title>Gone fishing · {ESCAPED}</title>" in gone
    for path in ("/", "/login/"):
        assert re.search(r'<link rel="stylesheet" href="/static/acme\.[0-9a-f]{12}\.css">', person.get(path).text)
    assert public.get("/static/acme.css").text == ".top { border-bottom: 3px solid; }\n"


# --- Other sites ---


def test_the_example_of_the_documentation_works(make_stack: Callable[..., Stack], tmp_path: Path) -> None:
    said = (ROOT / "docs" / "branding.md").read_text()
    files = dict(re.findall(r"^`([\w./-]+)`:\n\n```\w+\n(.*?)^```", said, re.MULTILINE | re.DOTALL))
    env = tmp_path / "env"
    env.write_text(files.pop(".env").replace("/srv/acme", str(tmp_path / "acme")))
    assert len(files) == 4, "or this test means nothing"
    for name, text in files.items():
        path = tmp_path / name.removeprefix("/srv/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    env.chmod(0o600)
    settings: dict[str, Any] = {"ENV_FILE": str(env)}
    stack = make_stack(**settings)
    person, mobile = stack.person(), number()
    page = person.get().text
    assert "· Acme Orchards</title>" in page
    assert "for 14 days" in page
    assert person.get("/").headers["Location"] == "/login/"
    for name in files_of(page):
        assert person.get(name).status_code == 200, name
    person.ask(mobile)
    code = stack.phone.code_for(mobile)
    (text,) = (sms.text for sms in stack.phone.wait_for(1))
    assert text == f"{code} is your Acme code, valid for 5 min. Never share it.\n\n@127.0.0.1 #{code}"
    lost = stack.shell("from django.template.loader import render_to_string; print(render_to_string('404.html'))")
    assert "There is no such tree in our orchard" in lost
    assert "latchkey" not in (page + lost).lower()


def test_a_site_with_only_a_name_has_its_first_letter_and_one_that_makes_no_accounts_says_nothing_of_them(
    make_stack: Callable[..., Stack],
) -> None:
    stack = make_stack(
        workers=0, SITE_NAME="果园", SIGN_UP="0", HOME_PAGE="off", REMEMBERED_DAYS="1", PRIVACY_URL="/p/"
    )
    person = stack.person()
    page = person.get().text
    assert "latchkey" not in page.lower()
    (mark,) = set(re.findall(r'src="(/static/monogram\.[0-9a-f]{12}\.svg)"', page))
    drawing = person.get(mark)
    assert (drawing.status_code, ">果</text>" in drawing.text) == (200, True)
    assert "creates your account" not in page
    assert 'By continuing, you agree to the <a href="/p/">privacy policy</a>.' in page
    assert "Keep me signed in for 1 day<" in re.sub(r"\s+<", "<", page)
    assert "2 天" not in stack.person(language="zh-CN").get().text
    # HOME_PAGE=off
    home = person.get("/")
    assert (home.status_code, home.headers["Location"]) == (302, "/login/")
    assert '<a class="brand" href="/login/">' in page
    assert ">Continue</a>" not in page, "there is nowhere to go on to"


def test_a_site_of_its_own_picture_has_it_everywhere(make_stack: Callable[..., Stack], tmp_path: Path) -> None:
    """A PNG is what iOS and chats can show; a card of the site's own comes from its folder."""
    folder = tmp_path / "acme"
    (folder / "static").mkdir(parents=True)
    mark = folder / "mark.png"
    mark.write_bytes((b"\x89PNG\r\n\x1a\n") + b"a mark")
    settings: dict[str, Any] = {"SITE_NAME": "Acme", "SITE_MARK": str(mark), "SITE_DIR": str(folder), "workers": 0}
    stack = make_stack(**settings)
    facts = dict(re.findall(r'<meta (?:property|name)="([^"]+)" content="([^"]*)">', stack.person().get().text))
    assert re.fullmatch(r".*/static/mark\.[0-9a-f]{12}\.png", facts["og:image"])
    for path in ("/favicon.ico", "/apple-touch-icon.png", facts["og:image"].removeprefix(stack.url)):
        answer = httpx.get(urljoin(stack.url, path), follow_redirects=True)
        assert (answer.content, answer.headers["Content-Type"]) == (mark.read_bytes(), "image/png"), path
    for name in ("card.png", "touch.png"):
        (folder / "static" / name).write_bytes(name.encode())
    stack = make_stack(**settings)
    page = stack.person().get().text
    facts = dict(re.findall(r'<meta (?:property|name)="([^"]+)" content="([^"]*)">', page))
    assert stack.get(facts["og:image"].removeprefix(stack.url)).content == b"card.png"
    assert httpx.get(f"{stack.url}/apple-touch-icon.png", follow_redirects=True).content == b"touch.png"


@pytest.mark.parametrize("path", ["/password/", "/login/?next=/password/"])
def test_the_home_page_can_be_elsewhere(make_stack: Callable[..., Stack], path: str) -> None:
    stack = make_stack(workers=0, HOME_PAGE=path, ALTCHA="off")
    answer = stack.person().get("/")
    assert (answer.status_code, answer.headers["Location"]) == (302, path)
    assert f'<a class="brand" href="{path}">' in stack.person().get().text


@pytest.mark.parametrize("days", [1, 45])
def test_a_remembered_sign_in_lasts_as_many_days(make_stack: Callable[..., Stack], days: int) -> None:
    stack = make_stack(workers=0, REMEMBERED_DAYS=str(days))
    stack.user("marta", password="correct horse battery")
    for remembered in ("on", ""):
        person = stack.person()
        answer = person.login("marta", "correct horse battery", remembered=remembered)
        cookies = {line.split("=")[0]: line for line in answer.headers.get_list("Set-Cookie")}
        for name in ("sessionid", "username"):
            assert (f"Max-Age={days * 86400};" in cookies[name]) is bool(remembered), cookies[name]
            assert ("Max-Age" in cookies[name]) is bool(remembered)
    wording = stack.person(language="zh-CN").get().text
    assert f"{days} 天内免登录" in wording


def test_the_sign_in_of_a_site_without_settings_is_as_ever(stack: Stack) -> None:
    """The product's name and drawing, no links, no line about terms."""
    page = stack.person().get().text
    assert "<title>Sign in · Latchkey</title>" in page
    assert '<a class="brand" href="/">' in page
    assert "<img" not in page
    assert "By continuing" not in page
    assert 'class="links"' not in page
    assert "Keep me signed in for 2 days" in page
