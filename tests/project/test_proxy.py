"""The nginx that docs/operators.md shows, in front of a site: what it lets through, and what it stops."""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING

import httpx
import pytest
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.support.stack import wait_until
from tests.tools.scan import drip, proxy
from tests.tools.scan.answered import answer
from tests.tools.scan.site import PASSWORD, USERNAME, Site
from tests.tools.scan.tools import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(not proxy.program(), reason="no nginx here; Debian: apt-get install nginx-light")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site as it stands in the world, behind nginx."""
    with Site(tmp_path_factory.mktemp("site")) as site:
        yield site


def visitor(site: Site, *, address: str = "127.0.0.1") -> httpx.Client:
    """Return a browser at an address of its own."""
    transport = httpx.HTTPTransport(verify=False, local_address=address)
    return httpx.Client(base_url=site.url, transport=transport, headers={"Referer": f"{site.url}/login/"}, timeout=20)


def test_a_visitor_signs_in_and_the_socket_is_let_in(site: Site) -> None:
    with visitor(site) as browser:
        browser.get("/login/")
        fields = {"username": USERNAME, "password": PASSWORD}
        done = browser.post("/login/", data=fields, headers={"X-CSRFToken": browser.cookies["__Host-csrftoken"]})
        assert done.status_code == 302, done.text
        cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    address = f"{site.url.replace('https', 'wss')}/ws/"
    headers = {"Cookie": cookie}
    with connect(address, ssl=proxy.unchecked(), origin=Origin(site.url), additional_headers=headers) as socket:
        assert f'data-user="{USERNAME}"' in str(socket.recv(timeout=10))


def test_a_visitor_cannot_choose_the_address_that_is_counted(site: Site) -> None:
    """T-5, T-82: of X-Forwarded-For only what nginx has seen counts, and a root path is not passed on."""
    lies = {"X-Forwarded-For": "203.0.113.7", "X_Forwarded_For": "203.0.113.8", "X-Forwarded-Proto": "http",
            "Daphne-Root-Path": "/elsewhere", "Forwarded": "for=203.0.113.9"}  # fmt: skip
    mobiles = ("13800138001", "13800138002")
    for mobile, address in zip(mobiles, ("127.0.0.5", "127.0.0.6"), strict=True):
        with visitor(site, address=address) as browser:
            page = browser.get("/login/", headers=lies)
            assert page.status_code == 200
            assert "elsewhere" not in page.text
            headers = {**lies, "X-CSRFToken": browser.cookies["__Host-csrftoken"], "Accept": "application/json"}
            assert browser.post("/code/", data={"mobile": mobile}, headers=headers).status_code == 202
    rows = [row for row in site.stack.deliveries() if row["mobile"].removeprefix("+86") in mobiles]
    assert len({row["address"] for row in rows}) == 2


def test_plain_http_is_sent_to_https_and_sets_no_cookie(site: Site) -> None:
    """T-44."""
    assert site.proxy
    answer = httpx.get(f"http://127.0.0.1:{site.proxy.plain_port}/login/")
    assert answer.status_code == 301
    assert answer.headers["Location"].startswith("https://")
    assert "set-cookie" not in answer.headers


def test_nobody_is_told_which_server_this_is(site: Site) -> None:
    """ASVS 5.0, 13.4.6."""
    with visitor(site) as browser:
        for path in ("/", "/nothing-here/"):
            assert not re.search(r"[0-9]", browser.get(path).headers.get("server", ""))


def test_a_body_that_no_form_has_is_refused_before_daphne_hears_of_it(site: Site) -> None:
    """T-81."""
    with visitor(site) as browser:
        assert browser.post("/login/", content=b"a" * 70_000).status_code == 413


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_is_spoken_in_its_two_good_versions(site: Site, version: ssl.TLSVersion) -> None:
    context = proxy.unchecked()
    context.minimum_version = context.maximum_version = version
    assert httpx.get(f"{site.url}/healthz", verify=context).status_code == 200


def test_the_secret_address_of_the_reports_is_in_no_log_of_nginx(site: Site) -> None:
    """T-84."""
    assert site.proxy
    secret = site.stack.settings["YUNTONGXUN_RECEIPT_SECRET"]
    with visitor(site) as browser:
        assert browser.post(f"/receipts/yuntongxun/{secret}/", content=b"{}").status_code == 403
        browser.get("/healthz?after")
    # nginx writes the line when it has sent the answer.
    log = site.proxy.access_log
    wait_until(lambda: "/healthz?after" in log.read_text(), what="or this means nothing")
    assert secret not in site.proxy.access_log.read_text() + site.proxy.error_log.read_text()


@pytest.mark.parametrize(
    ("wish", "cookie", "language"),
    [
        ("en", "", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.5", "", "zh-hans"),
        ("fr", "", "en"),
        ("zh-CN", "django_language=en", "en"),
        ("en", "django_language=zh-hans", "zh-hans"),
    ],
)
def test_while_the_server_restarts_visitors_see_a_page_of_ours(
    site: Site, wish: str, cookie: str, language: str
) -> None:
    """It says so in their language, and tries again by itself."""
    [web] = site.stack.webs
    web.kill()
    try:
        with visitor(site) as browser:
            headers = {"Accept-Language": wish, **({"Cookie": cookie} if cookie else {})}
            for answer in (browser.get("/login/", headers=headers), browser.post("/code/", headers=headers)):
                assert answer.status_code == 503
                assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
                assert (answer.headers["Retry-After"], answer.headers["Cache-Control"]) == ("5", "no-store")
                assert "max-age=31536000" in answer.headers["Strict-Transport-Security"]
                assert f'<html lang="{language}"' in answer.text
                assert '<meta http-equiv="refresh" content="5">' in answer.text
    finally:
        web.start()
        site.stack.wait_for_web()
    with visitor(site) as browser:
        assert browser.get("/login/").status_code == 200
        assert browser.get("/503.html").status_code == 404, "it is for nginx to show, not to be opened"


def test_what_nginx_refuses_has_a_page_of_ours_and_ours_are_passed_on(site: Site) -> None:
    with visitor(site) as browser:
        longest = browser.post("/login/", content=b"a" * 70_000)
        assert (longest.status_code, '<p class="status">400</p>' in longest.text) == (413, True)
        missing = browser.get("/nothing-here/")
        assert (missing.status_code, '<p class="status">404</p>' in missing.text) == (404, True)


def test_slow_visitors_are_hung_up_on_and_nobody_else_waits(site: Site) -> None:
    """T-57: head, body, TLS and a socket's handshake at a byte in five seconds. `make scan` holds 200 of them."""
    assert site.proxy
    result = drip.run(site.proxy.port, site.url, each=6)
    assert len(result.held) == 4, "or this means nothing"
    assert result.longest <= drip.LONGEST, result
    assert len(result.waits) > 20, "or this means nothing"
    assert result.failures == []


def test_the_scan_excuses_what_was_looked_into_and_nothing_beside_it() -> None:
    said = "HttpOnly flag is not set in the cookie : __Host-"
    assert answer(Finding("wapiti", "HttpOnly Flag cookie", "GET /", f"{said}csrftoken")), "or this means nothing"
    assert not answer(Finding("wapiti", "HttpOnly Flag cookie", "GET /", f"{said}sessionid"))
    unchecked = "CSRF token 'csrfmiddlewaretoken' is not properly checked in backend"
    assert not answer(Finding("wapiti", "Cross Site Request Forgery", "POST /login/", unchecked))
