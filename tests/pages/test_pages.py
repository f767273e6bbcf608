"""Every page as a visitor's browser gets it: its parts by name, its headers, its language, and what it never does."""

from __future__ import annotations

import re
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from accounts.sessions import hashed
from tests.support.numbers import number
from tests.support.person import leaves
from tests.support.production import PRODUCTION
from tests.support.stack import Stack, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.person import Person

PAGES = ("/", "/login/", "/dev/phone/", "/dev/queue/")
OURS = ("/", "/login/", "/dev/phone/", "/dev/queue/")
STATES = {"", "queued", "sending", "retrying", "sent", "delivered", "failed", "unknown", "expired", "superseded"}


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site in the world: no DEBUG, TLS at a proxy."""
    settings: dict[str, Any] = {**PRODUCTION, "PUBLIC_ORIGIN": "https://login.example.org", "TRUSTED_PROXIES": "1"}
    settings["ALLOWED_HOSTS"] = "login.example.org,127.0.0.1"
    with Stack(tmp_path_factory.mktemp("public"), workers=0, **settings) as stack:
        yield stack


def fetch(stack: Stack, path: str, *, tls: bool = True, language: str = "en") -> httpx.Response:
    """Get a page of the public site as its proxy would."""
    scheme = {"X-Forwarded-Proto": "https"} if tls else {}
    headers = {"Host": "login.example.org", "Accept": "text/html", "Accept-Language": language, **scheme}
    return httpx.get(stack.url + path, headers=headers, verify=False)


def set_cookies(answer: httpx.Response) -> dict[str, Any]:
    """Return the cookies that an answer sets, with their attributes."""
    jar: SimpleCookie = SimpleCookie()
    for line in answer.headers.get_list("set-cookie"):
        jar.load(line)
    return dict(jar)


# --- What stands on a page ---


@pytest.mark.parametrize("path", PAGES)
def test_every_page_opens(stack: Stack, path: str) -> None:
    answer = stack.person().get(path)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert stack.person().http.head(path).status_code == 200


@pytest.mark.parametrize("path", OURS)
def test_every_page_has_the_leaves_of_the_contract(stack: Stack, path: str) -> None:
    """The ids and data attributes are the interface."""
    html = stack.person().get(path).text
    found = leaves(html)
    assert found["account"]["data-user"] == ""
    assert (found["delivery"]["data-state"], found["delivery"]["data-attempt"]) == ("", "0")
    assert found["countdown"]["data-seconds"] == "0"
    assert found["connection"]["data-state"] == "connecting"
    for leaf in ("account", "delivery", "countdown", "connection", "live"):
        assert html.count(f'id="{leaf}"') == 1, leaf
    region = re.search(r'role="status"[^>]*>\s*<div id="delivery"', html)
    assert region, "#delivery is announced, in a region that stays"
    assert not re.search(r'role="status"[^>]*>\s*<span id="countdown"', html), "nobody wants each second read out"


def test_a_page_greets_who_is_signed_in(stack: Stack) -> None:
    person, mobile = stack.person(), number()
    person.ask(mobile)
    username = person.enter(stack.phone.code_for(mobile)).json()["username"]
    for path in OURS:
        assert leaves(person.get(path).text)["account"]["data-user"] == username
    assert leaves(stack.person().get("/").text)["account"]["data-user"] == ""


def test_the_page_without_javascript_tells_the_truth(stack: Stack) -> None:
    """Plain posts and a reload are enough."""
    person, mobile = stack.person(), number()
    page = person.page("/code/", mobile=mobile)
    assert page.status_code == 202
    assert leaves(page.text)["delivery"]["data-state"] in {"queued", "sending", "sent"}
    assert 1 <= int(leaves(page.text)["countdown"]["data-seconds"]) <= 60
    wait_until(lambda: leaves(person.get("/login/").text)["delivery"]["data-state"] == "sent")
    assert leaves(person.get("/login/").text)["delivery"]["data-attempt"] == "1"
    answer = person.page("/login/code/", code=stack.phone.code_for(mobile))
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    home = leaves(person.get("/").text)
    assert home["account"]["data-user"]
    assert home["delivery"]["data-state"] == "", "a used code is nothing more to tell of"


@pytest.mark.parametrize("path", OURS)
def test_every_form_works_before_its_script_loads(stack: Stack, path: str) -> None:
    html = stack.person().get(path).text
    forms = re.findall(r"<form[^>]*>.*?</form>", html, re.DOTALL)
    assert forms
    for form in forms:
        assert re.search(r'action="/[^"]*"', form), form[:200]
        assert 'method="post"' in form, form[:200]
        assert "csrfmiddlewaretoken" in form, form[:200]
        posted = re.search(r'hx-post="([^"]*)"', form)
        assert posted is None or f'action="{posted[1]}"' in form


@pytest.mark.parametrize("path", OURS)
def test_no_page_needs_what_its_policy_forbids(stack: Stack, path: str) -> None:
    """No inline script or style, no handler, nothing from elsewhere."""
    html = stack.person().get(path).text
    assert not re.search(r"<script(?![^>]*\bsrc=)", html)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|hx-on|javascript:", html)
    # It names this page to others, and loads nothing.
    html = re.sub(r'<link rel="canonical"[^>]*>', "", html)
    for address in re.findall(r'(?:src|href|action)="([^"]*)"', html):
        assert address.startswith(("/", "#")), address
        assert not address.startswith("//")


# --- Leaves ---


def test_a_reply_to_htmx_is_leaves_alone(stack: Stack) -> None:
    """A whole page or a form in the place of a leaf would be a form without a valid token."""
    person, mobile = stack.person(), number()
    code = "000000"
    answers = [
        person.htmx("/login/"),
        person.htmx("/login/", username="nobody-here", password="not the password"),
        person.htmx("/code/", mobile="1"),
        person.htmx("/code/", mobile=mobile),
        person.htmx("/code/", mobile=mobile),
        person.htmx("/login/code/", code="1"),
        person.htmx("/login/code/", code=code),
        person.http.get("/state/", headers={"HX-Request": "true"}),
        person.http.get("/state/"),
    ]
    assert [answer.status_code for answer in answers] == [422, 422, 422, 202, 429, 422, 422, 200, 200]
    for answer in answers:
        html = answer.text
        assert not re.search(r"<(form|html|body|head|script|style|!doctype)", html, re.IGNORECASE), html
        assert "csrfmiddlewaretoken" not in html
        roots = re.sub(r"^\s+|\s+$", "", html)
        assert roots.startswith("<"), "text outside of an element would be lost, or taken for JSON"
        assert 'hx-swap-oob="true"' in html
    assert "delivery" in leaves(answers[3].text)
    assert {"account", "delivery", "countdown"} <= set(leaves(answers[8].text))


def test_a_reply_changes_the_state_in_words_of_the_contract(stack: Stack) -> None:
    person = stack.person()
    reply = leaves(person.htmx("/code/", mobile=number()).text)
    assert reply["delivery"]["data-state"] in STATES - {""}
    assert reply["delivery"]["data-attempt"].isdigit()
    assert reply["countdown"]["data-seconds"].isdigit()


# --- Headers ---


@pytest.mark.parametrize("path", [*PAGES, "/state/", "/code/"])
def test_every_answer_is_locked_down(stack: Stack, path: str) -> None:
    answer = stack.person().get(path)
    policy = {}
    for directive in answer.headers["Content-Security-Policy"].split(";"):
        name, _, sources = directive.strip().partition(" ")
        policy[name] = sources.split()
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert not [
        source
        for sources in policy.values()
        for source in sources
        if "*" in source or source in {"https:", "http:", "data:"}
    ]
    assert policy["default-src"] == ["'none'"]
    for name in ("base-uri", "object-src", "frame-ancestors"):
        assert policy[name] == ["'none'"], name
    for name in ("script-src", "style-src", "connect-src", "form-action", "img-src"):
        assert "'self'" in policy[name], name
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.parametrize(
    "path", ["/login/", "/state/", "/healthz", "/readyz", "/dev/phone/", "/dev/queue/", "/dev/phone/messages.json"]
)
def test_nothing_private_stays_in_a_cache(stack: Stack, path: str) -> None:
    """T-39: the back button, or the next visitor of a shared proxy."""
    answer = stack.person().get(path)
    assert answer.status_code == 200
    assert "no-store" in answer.headers["Cache-Control"]
    assert "private" in answer.headers["Cache-Control"]


def test_the_home_page_of_nobody_is_kept_by_this_browser_alone(stack: Stack) -> None:
    """T-90: it has a token in it. The back button need not load it again."""
    assert stack.person().get("/").headers["Cache-Control"] == "no-cache, private"


@pytest.mark.parametrize("path", ["/code/", "/login/", "/login/code/", "/logout/"])
def test_no_answer_to_a_post_stays_in_a_cache(stack: Stack, path: str) -> None:
    for answer in (stack.person().post(path), stack.person().htmx(path), stack.person().page(path)):
        assert "no-store" in answer.headers["Cache-Control"]


def test_static_files_are_there(stack: Stack) -> None:
    html = stack.person().get("/").text
    found = {address.split("#")[0] for address in re.findall(r'(?:src|href)="(/static/[^"]*)"', html)}
    assert len(found) >= 4
    for address in found:
        answer = stack.get(address)
        assert answer.status_code == 200, address
        assert answer.headers["Content-Type"].split(";")[0] in {"text/css", "text/javascript", "image/svg+xml"}, address


# --- In the world ---


def test_cookies_over_tls_cannot_be_planted_or_read(public: Stack) -> None:
    """T-44."""
    found = set_cookies(fetch(public, "/login/"))
    assert set(found) == {"__Host-sessionid", "__Host-csrftoken"}
    for name, cookie in found.items():
        assert (cookie["secure"], cookie["path"], cookie["domain"], cookie["samesite"]) == (True, "/", "", "Lax"), name
        assert len(cookie.value) < 200
    assert found["__Host-sessionid"]["httponly"] is True


def test_plain_http_is_sent_to_tls_and_gets_no_cookie(public: Stack) -> None:
    """T-44."""
    answer = fetch(public, "/login/", tls=False)
    assert (answer.status_code, answer.headers["Location"]) == (301, "https://login.example.org/login/")
    assert set_cookies(answer) == {}
    assert fetch(public, "/healthz", tls=False).status_code == 200, "a probe speaks plain http"


def test_a_browser_is_told_to_stay_on_tls(public: Stack) -> None:
    answer = fetch(public, "/login/")
    assert int(re.findall(r"max-age=([0-9]+)", answer.headers["Strict-Transport-Security"])[0]) >= 365 * 86400


@pytest.mark.parametrize("path", ["/dev/phone/", "/dev/phone/messages.json", "/dev/queue/"])
def test_the_workshop_is_closed_in_the_world(public: Stack, path: str) -> None:
    answer = fetch(public, path)
    assert answer.status_code in {403, 404}
    assert "/dev/" not in fetch(public, "/").text


def test_limits_are_not_reset_in_the_world(public: Stack) -> None:
    """The dev phone's button is there with its page only."""
    page = fetch(public, "/login/")
    token = set_cookies(page)["__Host-csrftoken"].value
    headers = {"Host": "login.example.org", "X-Forwarded-Proto": "https", "X-CSRFToken": token}
    headers |= {"Referer": "https://login.example.org/", "Cookie": f"__Host-csrftoken={token}"}
    for path in ("/dev/phone/limits/", "/receipts/phone/0/"):
        assert httpx.post(public.url + path, headers=headers).status_code == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [("/nowhere/", 404), ("/login/nowhere", 404), ("/static/nowhere.css", 404), ("/dev/queue/", 403)],
)
@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_what_goes_wrong_has_a_page_of_ours(public: Stack, path: str, status: int, language: str) -> None:
    answer = fetch(public, path, language=language)
    assert answer.status_code == status
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert '<main id="content"' in answer.text
    assert f'<p class="status">{status}</p>' in answer.text
    assert "Latchkey" in answer.text
    assert set_cookies(answer) == {}, "who tries addresses leaves no session behind"


def test_a_refused_request_has_a_page_of_ours(public: Stack) -> None:
    """400 and 403, without DEBUG's own pages."""
    host = httpx.get(
        f"{public.url}/login/", headers={"Host": "evil.example", "X-Forwarded-Proto": "https"}, verify=False
    )
    assert (host.status_code, '<p class="status">400</p>' in host.text) == (400, True)
    headers = {"Host": "login.example.org", "X-Forwarded-Proto": "https"}
    token = httpx.post(f"{public.url}/login/", headers=headers, verify=False)
    assert (token.status_code, '<p class="status">403</p>' in token.text) == (403, True)
    assert "evil.example" not in host.text
    assert public.settings["SECRET_KEY"] not in host.text + token.text


@pytest.mark.parametrize(("language", "words"), [("en", "nothing was changed"), ("zh-hans", "未做任何更改")])
def test_who_opens_the_address_of_a_form_is_told_so(public: Stack, language: str, words: str) -> None:
    """405: a bookmark, or a reload of an address that only takes what is sent."""
    for path in ("/code/", "/login/code/", "/logout/"):
        answer = fetch(public, path, language=language)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
        assert '<p class="status">405</p>' in answer.text
        assert words in answer.text
        assert set_cookies(answer) == {}
    forwarded = {"Host": "login.example.org", "X-Forwarded-Proto": "https"}
    for asks in ({"Accept": "application/json"}, {"Accept": "text/html", "HX-Request": "true"}):
        program = httpx.get(f"{public.url}/code/", headers={**forwarded, **asks}, verify=False)
        assert (program.status_code, program.content) == (405, b"")
    head = httpx.head(f"{public.url}/code/", headers={**forwarded, "Accept": "text/html"}, verify=False)
    assert (head.status_code, head.content) == (405, b"")


def test_a_page_of_ours_for_every_error_says_what_happened_what_it_means_and_what_to_do(stack: Stack) -> None:
    """In both languages. What is written for a proxy is the same, and asks nothing of the server."""
    folder = stack.folder / "errors"
    stack.manage("write_error_pages", str(folder))
    for language in ("en", "zh-hans"):
        for status in ("400", "429", "503"):
            page = (folder / language / f"{status}.html").read_text()
            assert f'<html lang="{language}"' in page
            assert f'<p class="status">{status}</p>' in page
            assert re.search(r"<h1>[^<]+</h1>\s*<p>[^<]{15,}", page), "and in words"
            assert 'class="main button"' in page, "there is a way on"
            loaded = re.findall(r"<(?:link|script|img|use)\b[^>]*>|url\(|@import", page)
            assert loaded == [], "it is shown while nothing else can be had"
            assert ('http-equiv="refresh"' in page) == (status == "503")
    english, chinese = ((folder / language / "503.html").read_text() for language in ("en", "zh-hans"))
    assert "restarting" in english
    assert "重启" in chinese


# --- Languages ---


@pytest.mark.parametrize(
    ("wish", "language"),
    [
        ("en", "en"),
        ("zh-CN,zh;q=0.9", "zh-hans"),
        ("zh-Hans", "zh-hans"),
        ("fr", "en"),
        ("", "en"),
        ("de, zh-cn;q=0.5, en;q=0.1", "zh-hans"),
        ("*", "en"),
    ],
)
def test_a_page_is_in_the_browsers_language(stack: Stack, wish: str, language: str) -> None:
    answer = stack.person(language=wish).get("/login/")
    assert answer.headers["Content-Language"] == language
    assert f'<html lang="{language}"' in answer.text
    assert "Accept-Language" in answer.headers["Vary"]


def test_the_switch_wins_over_the_browser(stack: Stack) -> None:
    person = stack.person(language="en")
    answer = person.page("/i18n/setlang/", language="zh-hans", next="/login/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/login/")
    cookie = set_cookies(answer)["django_language"]
    assert (cookie.value, cookie["samesite"], cookie["max-age"]) == ("zh-hans", "Lax", str(365 * 86400))
    assert person.get("/login/").headers["Content-Language"] == "zh-hans"
    assert person.get("/state/").headers["Content-Language"] == "zh-hans"
    person.page("/i18n/setlang/", language="en", next="/")
    assert person.get("/").headers["Content-Language"] == "en"


def test_an_unknown_language_changes_nothing(stack: Stack) -> None:
    person = stack.person(language="en")
    person.page("/i18n/setlang/", language="tlh", next="/")
    assert person.get("/").headers["Content-Language"] == "en"
    assert person.http.get("/i18n/setlang/", params={"language": "zh-hans"}).status_code in {204, 302, 405}
    assert person.get("/").headers["Content-Language"] == "en", "a link changes nothing"


# --- What only reads ---


def test_a_poll_leaves_the_session_cookie_alone(stack: Stack) -> None:
    """A poll that was sent before a login in another tab comes back after it: it may not touch the new cookie."""
    for key in ("", "a" * 32, "stale"):
        for path in ("/state/", "/healthz", "/readyz"):
            for accept in ("text/html", "application/json"):
                headers = {"Accept": accept, **({"Cookie": f"sessionid={key}"} if key else {})}
                answer = httpx.get(stack.url + path, headers=headers, verify=False)
                assert answer.status_code == 200
                assert "sessionid" not in set_cookies(answer), (path, key)
    page = httpx.get(stack.url + "/login/", headers={"Cookie": f"sessionid={'a' * 32}"}, verify=False)
    assert set_cookies(page)["sessionid"].value, "or this test means nothing: a page does set it"


def test_a_session_that_has_ended_is_told_by_a_poll_in_words_only(stack: Stack) -> None:
    person, mobile = stack.person(), number()
    person.ask(mobile)
    person.enter(stack.phone.code_for(mobile))
    key = person.http.cookies["sessionid"]
    assert person.username
    stack.rows("DELETE FROM django_session WHERE session_key = ?", hashed(key))
    answer = person.get("/state/")
    assert leaves(answer.text)["account"]["data-user"] == ""
    assert set_cookies(answer) == {}
    assert person.http.cookies["sessionid"] == key


def test_polls_and_probes_make_no_sessions(stack: Stack) -> None:
    before = stack.rows("SELECT count(*) AS n FROM django_session")
    for _ in range(5):
        for path in ("/state/", "/healthz", "/readyz", "/nowhere/", "/static/nowhere"):
            httpx.get(stack.url + path, verify=False)
    assert stack.rows("SELECT count(*) AS n FROM django_session") == before


def test_health_and_readiness(stack: Stack) -> None:
    """T-92."""
    assert (stack.get("/healthz").status_code, stack.get("/healthz").text) == (200, "ok")
    ready = stack.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "reason": ""})


@pytest.mark.parametrize("host", ["10.0.0.7:8000", "", "evil.example", "[::1", "a b<script>", "x" * 300])
def test_a_probe_is_answered_under_any_host_and_nothing_else_is(public: Stack, host: str) -> None:
    """T-92: a kubelet and a load balancer use an address. No redirect to TLS, no cookie, no session."""
    for tls in ({}, {"X-Forwarded-Proto": "https"}):
        for method in ("GET", "HEAD"):
            alive = httpx.request(method, f"{public.url}/healthz", headers={"Host": host, **tls})
            ready = httpx.request(method, f"{public.url}/readyz", headers={"Host": host, **tls})
            assert (alive.status_code, ready.status_code) == (200, 503)
            for answer in (alive, ready):
                assert "Set-Cookie" not in answer.headers
                assert "Location" not in answer.headers
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
        for path in ("/", "/login/", "/state/", "/healthz/", "/readyz/x", "/HEALTHZ"):
            answer = httpx.get(public.url + path, headers={"Host": host, "X-Forwarded-Proto": "https"})
            assert answer.status_code == 400, path
        assert httpx.post(f"{public.url}/healthz", headers={"Host": host, **tls}).status_code in {301, 400}


def test_a_site_without_a_worker_is_healthy_and_not_ready(public: Stack) -> None:
    """T-92: readiness looks at what would serve, and does not only answer."""
    assert fetch(public, "/healthz").status_code == 200
    ready = fetch(public, "/readyz")
    assert (ready.status_code, ready.json()) == (503, {"ready": False, "reason": "sweeper"})


def test_the_self_test_starts_and_counts(stack: Stack) -> None:
    """An operator sees within seconds that queue and worker work; without JavaScript too."""
    person: Person = stack.person()
    assert leaves(person.get("/dev/queue/").text)["selftest"]["data-state"] == "idle"
    answer = person.page("/dev/queue/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/dev/queue/")
    wait_until(lambda: int(leaves(person.get("/dev/queue/").text)["selftest"]["data-done"]) >= 1)
    assert leaves(person.get("/dev/queue/").text)["selftest"]["data-state"] == "running"


def test_the_dev_phone_refuses_switches_it_does_not_have(stack: Stack) -> None:
    person = stack.person()
    for mode in ("", "explode", "ok\x00"):
        assert person.page("/dev/phone/", mode=mode).status_code == 422
    for times in ("", "-1", "x", "９", "1" * 5000):
        assert person.page("/dev/phone/", mode="fail_times", times=times).status_code in {302, 422}
    assert person.page("/dev/phone/", mode="ok").status_code == 302
    assert stack.get("/dev/phone/").status_code == 200
