"""A site's own views in the clone: their answers say what they want, their uploads are taken, ours stay as they are."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.support.production import PRODUCTION
from tests.support.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "login.example.org"
PASSWORD = "correct horse battery"
# What the login's own pages say, and nobody else's need to.
LOGIN_S_OWN = ("Permissions-Policy", "Cross-Origin-Resource-Policy", "Cross-Origin-Opener-Policy")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site with such views, as it stands in the world."""
    settings: dict[str, Any] = {
        **PRODUCTION,
        "DJANGO_SETTINGS_MODULE": "tests.pages.own_pages.settings",
        "BODY_LIMITS": "/upload/:3M",
    }
    with Stack(tmp_path_factory.mktemp("own"), workers=0, **settings) as stack:
        stack.user("alice", password=PASSWORD)
        yield stack


def test_a_view_of_ones_own_has_no_headers_of_the_login_s(site: Stack) -> None:
    for path in ("/bare/", "/template/", "/person/"):
        answer = site.person().get(path)
        assert answer.status_code == 200, path
        for name in LOGIN_S_OWN:
            assert name not in answer.headers, (path, name)
        # The site's settings hold for it, and Django's and django-csp's decorators change them.
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_a_view_of_ones_own_keeps_what_it_says(site: Stack) -> None:
    answer = site.get("/embedded/")
    assert answer.headers["Permissions-Policy"] == "camera=(self)"
    for name in ("X-Frame-Options", "Content-Security-Policy", "Cross-Origin-Resource-Policy"):
        assert name not in answer.headers, name


@pytest.mark.parametrize("path", ["/", "/login/", "/nowhere/", "/static/latchkey.css", "/state/", "/healthz"])
def test_the_login_s_own_answers_have_them_all(site: Stack, path: str) -> None:
    """T-85, T-86: beside such views too."""
    answer = site.get(path)
    for name in (*LOGIN_S_OWN, "Content-Security-Policy", "X-Frame-Options"):
        assert len(answer.headers.get_list(name)) == 1, name


def test_only_a_page_that_shows_a_person_is_kept_by_nobody(site: Stack) -> None:
    """T-39, T-90."""
    stranger, alice = site.person(), site.person()
    alice.login("alice", PASSWORD)
    said = {
        name: {
            path: person.get(path).headers.get("Cache-Control", "") for path in ("/", "/bare/", "/person/", "/kept/")
        }
        for name, person in (("stranger", stranger), ("alice", alice))
    }
    assert said == {
        "stranger": {"/": "no-cache, private", "/bare/": "", "/person/": "", "/kept/": "public, max-age=60"},
        "alice": {
            "/": "no-store, private", "/bare/": "private", "/person/": "no-store, private",
            "/kept/": "public, max-age=60",
        },
    }  # fmt: skip


def test_a_page_that_shows_a_number_is_kept_by_nobody(site: Stack) -> None:
    """T-39: somebody who has requested a code is somebody, signed in or not."""
    person = site.person()
    person.ask("13800138000")
    for path in ("/", "/person/"):
        page = person.get(path)
        assert "138 ****" in page.text, "or this test means nothing"
        assert page.headers["Cache-Control"] == "no-store, private", path


def test_the_policy_of_tls_goes_as_far_as_the_operator_says(tmp_path: Any) -> None:
    """T-86: on the site's own answers as well."""
    settings: dict[str, Any] = {
        **PRODUCTION, "DJANGO_SETTINGS_MODULE": "tests.pages.own_pages.settings",
        "PUBLIC_ORIGIN": f"https://{HOST}", "TRUSTED_PROXIES": "1", "HSTS_SUBDOMAINS": "1", "HSTS_PRELOAD": "1",
    }  # fmt: skip
    with Stack(tmp_path, workers=0, **settings) as stack:
        for path in ("/login/", "/bare/", "/static/latchkey.css", "/nowhere/", "/healthz"):
            answer = httpx.get(stack.url + path, headers={"Host": HOST, "X-Forwarded-Proto": "https"})
            said = answer.headers.get_list("Strict-Transport-Security")
            assert said == ["max-age=31536000; includeSubDomains; preload"], path


# --- Uploads ---


@pytest.mark.parametrize("kind", ["a file", "a body", "in chunks"])
def test_a_path_of_ones_own_takes_what_its_limit_says(site: Stack, kind: str) -> None:
    body = bytes(range(256)) * 4 * 1024 * 2
    options: dict[str, Any] = {"content": body}
    if kind == "a file":
        options = {"files": {"file": body}}
    if kind == "in chunks":
        options = {"content": (body[n : n + 65536] for n in range(0, len(body), 65536))}
    answer = httpx.post(f"{site.url}/upload/", timeout=30, **options)
    assert answer.json() == {"size": len(body), "hash": hashlib.sha256(body).hexdigest()}


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [
        ("/upload/", 3 * 1024 * 1024, 200),
        ("/upload/", 3 * 1024 * 1024 + 1, 400),
        ("/elsewhere/", 64 * 1024, 200),
        ("/elsewhere/", 64 * 1024 + 1, 400),
        ("/login/", 64 * 1024 + 1, 400),
        ("/code/", 2 * 1024 * 1024, 400),
    ],
)
def test_a_longer_body_is_refused_and_the_login_s_stay_small(site: Stack, path: str, size: int, status: int) -> None:
    """T-81."""
    answer = httpx.post(site.url + path, content=b"x" * size, timeout=30)
    assert answer.status_code == status
