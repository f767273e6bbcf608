"""What a first visit of the sign-in page loads, and what a second one does not."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import brotli
import httpx
import pytest

from tests.support.numbers import number
from tests.support.production import PRODUCTION
from tests.support.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

# Bytes, everything that a browser loads for the page, as it goes over the line.
MOST = 30_000
# What a browser that speaks TLS asks for.
BROWSER = "gzip, deflate, br, zstd"
OPENED = {"gzip": lambda raw: zlib.decompress(raw, 31), "br": brotli.decompress, "": bytes}
# By hand: what a name is made of, whatever the code thinks.
HASHED = re.compile(r"/static/[\w/.-]+\.[0-9a-f]{12}\.[a-z]+")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site as it stands in the world."""
    with Stack(tmp_path_factory.mktemp("weight"), workers=0, **PRODUCTION) as site:
        yield site


def load(site: Stack, path: str, *, codings: str = BROWSER, **headers: str) -> tuple[httpx.Response, bytes]:
    """Get an address; return the answer and its body as it came, still in its coding."""
    asked = {"Accept-Encoding": codings, "Accept": "text/html,*/*", **headers}
    with httpx.stream("GET", urljoin(site.url, path), headers=asked) as answer:
        return answer, b"".join(answer.iter_raw())


def opened(answer: httpx.Response, raw: bytes) -> bytes:
    """Return a body out of its coding."""
    return OPENED[answer.headers.get("Content-Encoding", "")](raw)  # type: ignore[no-any-return]


def named(page: str) -> set[str]:
    """Return what a browser loads for a page: styles, scripts, the icon and the drawings. Not where links lead."""
    loaded = re.findall(r'<(?:script|img|use)\b[^>]*\s(?:src|href)="([^"#]*)', page)
    for link in re.findall(r"<link\b[^>]*>", page):
        if re.search(r'rel="(?:icon|stylesheet|preload|modulepreload)"', link):
            loaded += re.findall(r'href="([^"]*)"', link)
    return set(loaded)


@pytest.mark.parametrize("language", ["en", "zh-CN"])
@pytest.mark.parametrize("path", ["/login/", "/"])
@pytest.mark.parametrize("codings", ["gzip", BROWSER])
def test_a_first_visit_loads_at_most_thirty_thousand_bytes(site: Stack, path: str, language: str, codings: str) -> None:
    answer, raw = load(site, path, codings=codings, **{"Accept-Language": language})
    assert answer.headers["Content-Encoding"] == "gzip"
    page = opened(answer, raw).decode()
    assert f'lang="{"en" if language == "en" else "zh-hans"}"' in page
    weights = {path: len(raw)}
    for address in named(page):
        answer, raw = load(site, address, codings=codings)
        assert answer.status_code == 200, address
        assert len(raw) < len(opened(answer, raw)), f"{address} is not compressed"
        weights[address] = len(raw)
    for part in ("page.", ".css", "icons."):
        assert any(part in address for address in weights), "or this test means nothing"
    assert sum(weights.values()) <= MOST, weights


def test_a_small_answer_is_never_compressed(site: Stack) -> None:
    """T-9: with random bytes it would be at one time and not at another, and answers could be told apart by that."""
    person = site.person()
    answers = [person.ask(number()) for _ in range(3)] + [person.htmx("/code/", mobile=number()), person.get("/state/")]
    assert not any("Content-Encoding" in answer.headers for answer in answers)


def test_every_file_of_a_page_has_its_hash_in_its_name_and_is_kept_for_good(site: Stack) -> None:
    for path in ("/", "/login/", "/nowhere/"):
        page = opened(*load(site, path)).decode()
        found = set(re.findall(r'"(?:https?://[^"/]+)?(/static/[^"#]*)', page))
        assert len(found) >= 2, "or this test means nothing"
        for address in found:
            assert HASHED.fullmatch(address), address
            answer, _raw = load(site, address)
            assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable", address


def test_a_plain_name_and_an_old_hash_answer_and_are_not_kept_for_good(site: Stack) -> None:
    """A page that was open while a new version came asks for what it knows."""
    (address,) = (one for one in named(opened(*load(site, "/login/")).decode()) if "/page." in one and "css" in one)
    right, raw = load(site, address)
    for other in ("/static/page.css", "/static/latchkey.css", re.sub(r"[0-9a-f]{12}", "0123456789ab", address)):
        answer, same = load(site, other)
        assert (answer.status_code, same) == (200, raw), other
        assert "immutable" not in answer.headers["Cache-Control"], other
        assert answer.headers["Content-Type"] == right.headers["Content-Type"]


@pytest.mark.parametrize(
    "name",
    ["nowhere.css", "nowhere.0123456789ab.css", "", "admin", "admin/", "../manage.py", "..%2fmanage.py",
     "%2e%2e/manage.py", "/etc/passwd", ".gitignore", "latchkey.css/", "a%00.css", "latchkey.0123456789ab"],
)  # fmt: skip
def test_what_is_no_file_of_ours_is_not_found(site: Stack, name: str) -> None:
    assert load(site, f"/static/{name}")[0].status_code == 404


def test_a_browser_gets_a_file_in_a_coding_that_it_knows(site: Stack) -> None:
    """RFC 9110, 12.5.3. One that may be any of three is kept apart by the caches on the way."""
    asked = {
        "": "", "identity": "", "gzip": "gzip", "br": "br", "gzip, br": "br", "gzip;q=1.0, br;q=0": "gzip",
        "br;q=0, gzip;q=0": "", "deflate": "", "br;q=0.5,gzip": "br", "xbr": "", "x-br, gzip-x": "",
        "br;q=0.0,gzip;q=0.1": "gzip",
    }  # fmt: skip
    bodies, tags = set(), {}
    for codings, wanted in asked.items():
        answer, raw = load(site, "/static/latchkey.css", codings=codings)
        assert answer.headers.get("Content-Encoding", "") == wanted, codings
        assert "accept-encoding" in answer.headers["Vary"].lower()
        bodies.add(opened(answer, raw))
        tags[answer.headers["ETag"]] = wanted
    assert len(bodies) == 1
    assert sorted(tags.values()) == ["", "br", "gzip"], "each coding has a tag of its own"
    for tag, coding in tags.items():
        answer, raw = load(site, "/static/latchkey.css", codings=coding, **{"If-None-Match": tag})
        assert (answer.status_code, raw) == (304, b"")


def test_what_is_made_smaller_says_the_same(site: Stack) -> None:
    """Comments and layout are gone, and nothing else: the pages of other tests are made of these."""
    for name in ("latchkey.css", "latchkey.js", "icons.svg", "proof.js", "page.js"):
        small = load(site, f"/static/{name}", codings="")[1].decode()
        assert "/* " not in small, name
        assert "<!--" not in small, name
        assert not re.search(r"^\s*//", small, re.MULTILINE), name
    css = load(site, "/static/latchkey.css", codings="")[1].decode()
    assert re.search(r"clamp\(100%,\s?0\.75rem \+ 0\.28vw", css), "a sum needs its spaces"


def test_a_file_is_only_read(site: Stack) -> None:
    for method in ("POST", "PUT", "DELETE"):
        answer = httpx.request(method, f"{site.url}/static/latchkey.css")
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")
    head = httpx.head(f"{site.url}/static/latchkey.css")
    assert (head.status_code, head.content) == (200, b"")


def test_an_edited_file_has_a_new_name_at_once_for_who_works_on_it(stack: Stack) -> None:
    """Under DEBUG a page is right after each save, and browsers ask again for plain names."""
    assert load(stack, "/static/latchkey.css")[0].headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    ("path", "kind"), [("/favicon.ico", "image/svg+xml; charset=utf-8"), ("/apple-touch-icon.png", "image/png")]
)
def test_an_icon_is_where_it_is_looked_for_without_a_page(site: Stack, path: str, kind: str) -> None:
    answer = httpx.get(site.url + path, follow_redirects=True)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, kind)
    assert not answer.history[0].headers.get("Set-Cookie")


def test_what_a_chat_shows_of_a_link_can_be_had_from_outside(site: Stack) -> None:
    """Open Graph: addresses in full, and a picture of the size that is promised."""
    for path in ("/", "/login/"):
        page = opened(*load(site, path)).decode()
        facts = dict(re.findall(r'<meta (?:property|name)="([^"]+)" content="([^"]*)">', page))
        assert {"og:title", "og:description", "og:url", "og:image", "og:locale", "description"} <= set(facts)
        origin = site.settings["PUBLIC_ORIGIN"]
        assert facts["og:url"] == f"{origin}{path}"
        assert f'<link rel="canonical" href="{origin}{path}">' in page
        assert facts["og:image"].startswith(f"{origin}/static/card.")
        answer, picture = load(site, facts["og:image"].removeprefix(origin))
        assert answer.headers["Content-Type"] == "image/png"
        size = (int.from_bytes(picture[16:20], "big"), int.from_bytes(picture[20:24], "big"))
        assert size == (int(facts["og:image:width"]), int(facts["og:image:height"])) == (1200, 630)
        assert len(picture) < 100_000
