"""What an answer says besides its content, whoever made it: Django, a file's, or the server before both of them."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import sqlite3
from contextlib import closing
from http.client import HTTPMessage, parse_headers
from http.cookies import SimpleCookie
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

import httpx
import pytest
from csp.decorators import csp_exempt, csp_update
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.urls import URLPattern, URLResolver, get_resolver, path

from project.server.asgi_wrapper import AsgiWrapper, ThisMachineOnly
from tests.support.codes import code_for
from tests.support.numbers import number
from tests.support.places import ELSEWHERE, HERE
from tests.support.production import PRODUCTION
from tests.support.raw import KEY
from tests.support.stack import Stack, migrated_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.test import Client
    from pytest_django import Settings

HOST = "login.example.org"
PASSWORD = "correct horse battery staple"
# What every answer has to say, and what in it.
HEADERS = {
    "X-Content-Type-Options": r"nosniff",
    "X-Frame-Options": r"DENY",
    "Referrer-Policy": r"same-origin",
    "Cross-Origin-Opener-Policy": r"same-origin",
    "Cross-Origin-Resource-Policy": r"same-origin",
    "Permissions-Policy": r".*camera=\(\).*otp-credentials=\(self\).*",
    "Content-Security-Policy": r".*default-src 'none'.*",
}


class Answer(NamedTuple):
    """An answer as it came over the wire."""

    status: int
    headers: HTTPMessage
    body: bytes


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site in the world behind TLS, with the admin, under the plain command and its defaults. Nobody works."""
    settings: dict[str, Any] = {**PRODUCTION, "PUBLIC_ORIGIN": f"https://{HOST}", "TRUSTED_PROXIES": "1", "ADMIN": "1"}
    settings["ALLOWED_HOSTS"] = f"{HOST},127.0.0.1"
    with Stack(tmp_path_factory.mktemp("world"), workers=0, **settings) as stack:
        stack.manage(
            "shell", "-v0", "-c",
            "from accounts.models import User\n"
            f"User.objects.create_user('alice', password={PASSWORD!r})\n"
            f"User.objects.create_superuser('operator', password={PASSWORD!r})\n",
        )  # fmt: skip
        yield stack


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site on this machine, with no proxy before it."""
    with Stack(tmp_path_factory.mktemp("plain"), workers=0, **PRODUCTION) as stack:
        yield stack


def send(stack: Stack, request: str | bytes, body: bytes = b"") -> Answer:
    """Send the lines of a request as they are, and read the answer."""
    request = request if isinstance(request, bytes) else request.encode("latin-1")
    with socket.create_connection(("127.0.0.1", stack.ports[0]), timeout=20) as connection:
        connection.sendall(request.replace(b"\n", b"\r\n") + b"\r\n\r\n" + body)
        said = b""
        # A handshake that is taken stays open.
        while not (said.startswith(b"HTTP/1.1 101") and b"\r\n\r\n" in said) and (part := connection.recv(65536)):
            said += part
    head, _, rest = said.partition(b"\r\n\r\n")
    status, _, fields = head.partition(b"\r\n")
    return Answer(int(status.split()[1]), parse_headers(BytesIO(fields + b"\r\n\r\n")), rest)


def ask(
    stack: Stack, target: str, *more: str, method: str = "GET", body: bytes = b"", tls: bool = True, host: str = HOST
) -> Answer:
    """Ask as a proxy does for a browser. `more` are lines of the head."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close", "Accept: text/html", *more]
    if body or method == "POST":
        lines += [f"Content-Length: {len(body)}", "Content-Type: application/x-www-form-urlencoded"]
    return send(stack, "\n".join([*lines, *(["X-Forwarded-Proto: https"] if tls else [])]), body)


class Visitor:
    """A browser behind the proxy. It keeps secure cookies, which a client that speaks no TLS would not send back."""

    def __init__(self, stack: Stack) -> None:
        """Take the site."""
        self.url = stack.url
        self.cookies: dict[str, str] = {}

    def get(self, target: str = "/login/", *, navigate: bool = False) -> httpx.Response:
        """Open a page."""
        return self._send("GET", target, {"Sec-Fetch-Mode": "navigate"} if navigate else {})

    def post(self, target: str, **fields: str) -> httpx.Response:
        """Send a form."""
        return self.post_as("text/html", target, **fields)

    def post_as(self, accept: str, target: str, **fields: str) -> httpx.Response:
        """Send a form with the token of now, for an answer of a kind."""
        return self._send("POST", target, {"Accept": accept, "X-CSRFToken": self.cookies["__Host-csrftoken"]}, fields)

    def _send(
        self, method: str, target: str, headers: dict[str, str], fields: dict[str, str] | None = None
    ) -> httpx.Response:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        proxy = {"Host": HOST, "X-Forwarded-Proto": "https", "Referer": f"https://{HOST}/"}
        headers = {"Accept": "text/html", "Cookie": cookie, **proxy, **headers}
        answer = httpx.request(method, self.url + target, headers=headers, data=fields, timeout=30, verify=False)
        for line in answer.headers.get_list("set-cookie"):
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
                if morsel["max-age"] == "0":
                    del self.cookies[name]
        return answer


# --- On every answer ---


def every_kind(stack: Stack) -> dict[str, Answer]:
    """Return an answer of every status and maker, by a name."""
    stack.rows("DELETE FROM tasks_delivery")
    token = cookie_and_token(stack)
    answers = {
        "a page": ask(stack, "/login/"),
        "a refused login": ask(stack, "/login/", *token, method="POST", body=b"username=x"),
        "a redirect": ask(stack, "/admin/"),
        "no token": ask(stack, "/login/", method="POST"),
        "nowhere": ask(stack, "/nowhere/"),
        "no such file": ask(stack, "/static/nowhere.css"),
        "a wrong method": ask(stack, "/logout/"),
        "an unknown method": ask(stack, "/", method="FOO"),
        "a body that is too long": ask(stack, "/login/", method="POST", body=b"a=" + b"1" * 100_000),
        "a strange host": ask(stack, "/login/", host="evil.example"),
        "a header that daphne refuses": ask(stack, "/login/", "X-Strange: a\x0bb"),
        "not ready": ask(stack, "/readyz"),
        "alive": ask(stack, "/healthz"),
        "the state": ask(stack, "/state/"),
        "a stylesheet": ask(stack, "/static/latchkey.css"),
        "a picture": ask(stack, "/static/favicon.svg"),
        "a script": ask(stack, "/static/latchkey.js"),
        "a report": ask(stack, "/receipts/yuntongxun/wrong/", method="POST"),
        "the admin's script": ask(stack, "/static/admin/js/core.js"),
    }
    with_token = {"method": "POST", "body": f"mobile={number()}".encode()}
    answers["a code"] = ask(stack, "/code/", *token, **with_token)  # type: ignore[arg-type]
    answers["a code too soon"] = ask(stack, "/code/", *token, **with_token)  # type: ignore[arg-type]
    answers["broken"] = broken(stack)
    stack.rows("ALTER TABLE django_session RENAME TO gone")
    answers["without its database"] = ask(stack, "/login/", "Cookie: __Host-sessionid=" + "a" * 32)
    stack.rows("ALTER TABLE gone RENAME TO django_session")
    return answers


def cookie_and_token(stack: Stack) -> list[str]:
    """Return the lines of a head that make a post our own page's."""
    found = set_cookies(ask(stack, "/login/"))
    cookies = "; ".join(f"{name}={cookie.value}" for name, cookie in found.items())
    token = found["__Host-csrftoken" if "__Host-csrftoken" in found else "csrftoken"].value
    return [f"Cookie: {cookies}", f"X-CSRFToken: {token}", f"Referer: https://{HOST}/login/"]


def broken(stack: Stack) -> Answer:
    """Return what is said when something breaks in a view: a row holds what it cannot hold."""
    key = stack.broken_session()
    return ask(stack, "/", f"Cookie: sessionid={key}; __Host-sessionid={key}")


def set_cookies(answer: Answer) -> dict[str, Any]:
    """Return the cookies that an answer sets, with their attributes."""
    jar: SimpleCookie = SimpleCookie()
    for line in answer.headers.get_all("Set-Cookie", []):
        jar.load(line)
    return dict(jar)


@pytest.fixture(scope="module")
def answers(world: Stack) -> dict[str, Answer]:
    """Every kind of answer, over TLS."""
    return every_kind(world)


def test_no_status_is_left_out(answers: dict[str, Answer]) -> None:
    """The premise of what follows."""
    statuses = {name: answer.status for name, answer in answers.items()}
    assert set(statuses.values()) >= {200, 202, 302, 400, 403, 404, 405, 422, 429, 500, 503}, statuses
    assert (statuses["broken"], statuses["without its database"], statuses["not ready"]) == (500, 503, 503)


def test_every_answer_is_locked_down_whoever_made_it(answers: dict[str, Answer]) -> None:
    """T-85, T-86: errors, files and the server's own words too; each header once."""
    for name, answer in answers.items():
        for header, wanted in HEADERS.items():
            assert len(answer.headers.get_all(header, [])) == 1, (name, header)
            assert re.fullmatch(wanted, answer.headers[header]), (name, header, answer.headers[header])
        policy = answer.headers["Content-Security-Policy"]
        assert "unsafe" not in policy, name
        for directive in ("base-uri 'none'", "frame-ancestors 'none'"):
            assert directive in policy, name
        if answer.headers["Content-Type"].startswith("text/html"):
            assert "object-src 'none'" in policy, name
            assert f"connect-src 'self' wss://{HOST};" in f"{policy};", name
        assert "Access-Control-Allow-Origin" not in answer.headers, name


def test_a_browser_is_told_to_stay_on_tls_by_every_answer_over_tls_and_by_no_other(
    world: Stack, answers: dict[str, Answer]
) -> None:
    """T-86, RFC 6797: files and errors too."""
    for name, answer in answers.items():
        (said,) = answer.headers.get_all("Strict-Transport-Security", [])
        assert said == "max-age=31536000", name
    for target in ("/login/", "/healthz", "/static/latchkey.css", "/nowhere/"):
        assert "Strict-Transport-Security" not in ask(world, target, tls=False).headers, target


def test_a_cache_keeps_files_and_nothing_else(answers: dict[str, Answer]) -> None:
    """T-90: whatever is not a file is kept by nobody, and is known to differ by who asks."""
    files = {"a stylesheet", "a picture", "a script", "the admin's script"}
    for name, answer in answers.items():
        said = answer.headers["Cache-Control"]
        assert ("no-store" in said) == (name not in files), (name, said)
        assert ("private" in said) == (name not in files), (name, said)
        (vary,) = answer.headers.get_all("Vary", [""])
        varies = {word.strip().lower() for word in vary.split(",")}
        assert ({"cookie", "hx-request", "accept"} <= varies) == (name not in files), (name, vary)
        assert len(varies) == len(vary.split(",")), "each once"


def test_nobody_is_told_what_serves_him(world: Stack, answers: dict[str, Answer]) -> None:
    """T-92, ASVS 13.4.6: no name, no version, under `daphne asgi:application` alone, on a handshake neither."""
    assert "--no-server-name" not in world.webs[0].command, "or this test means nothing"
    handshake = (
        f"GET /ws/ HTTP/1.1\nHost: {HOST}\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Key: {KEY}\n"
        "Sec-WebSocket-Version: 13\nX-Forwarded-Proto: https\n"
    )
    (cookie, *_) = cookie_and_token(world)
    sockets = {
        "a socket": send(world, f"{handshake}Origin: https://{HOST}\n{cookie}"),
        "a stranger's socket": send(world, f"{handshake}Origin: https://evil.example"),
        "a strange handshake": send(world, handshake.replace("Version: 13", "Version: 99") + "X: y"),
    }
    assert [answer.status for answer in sockets.values()] == [101, 403, 400]
    for name, answer in {**answers, **sockets}.items():
        assert "Server" not in answer.headers, name
        assert "X-Powered-By" not in answer.headers, name
        assert not re.search(r"daphne|twisted|autobahn|django/|python/", str(answer.headers), re.IGNORECASE), name
        if name not in {"a stylesheet", "a script", "the admin's script"}:
            assert not re.search(rb"daphne|twisted|autobahn|traceback|python", answer.body, re.IGNORECASE), name


def test_what_is_not_even_http_is_refused_without_a_word(world: Stack) -> None:
    """The protocol's own 400 has no header, and no body that a header could protect."""
    for request in ("GET /login/\xff HTTP/1.1\nHost: x", "GET"):
        answer = send(world, request)
        assert (answer.status, answer.headers.keys(), answer.body) == (400, [], b""), request


def through(app: Any, scope: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what an application sends."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": f"{scope['type']}.connect"}

    async def keep(event: dict[str, Any]) -> None:
        sent.append(event)

    asyncio.run(app(scope, receive, keep))
    return sent


@pytest.mark.parametrize(
    ("at", "answered"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("192.168.1.5", False), ("2001:db8::1", False)],
)
def test_debug_answers_its_own_machine_only(at: str, answered: bool) -> None:
    """T-88: `daphne -b 0.0.0.0` asks nobody, and the dev phone shows every code. On sockets as well."""

    async def site(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "reached"})

    app = ThisMachineOnly(site)
    reached = [{"type": "reached"}]
    page = through(app, {"type": "http", "server": [at, 8000]})
    socket_ = through(app, {"type": "websocket", "server": [at, 8000]})
    if answered:
        assert page == socket_ == reached
    else:
        assert page[0]["status"] == 403
        assert b"content-security-policy" in dict(page[0]["headers"])
        assert socket_ == [{"type": "websocket.close"}]
    assert through(app, {"type": "http", "server": None}) == reached, "a Unix socket is this machine"


def test_what_breaks_around_django_has_an_answer_as_well(caplog: pytest.LogCaptureFixture) -> None:
    """T-85: in words, with every header; and one that has begun is not begun again."""

    async def breaks(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["path"] == "/late/":
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("the pool is broken")

    scope = {"type": "http", "method": "GET", "scheme": "http", "headers": [], "query_string": b""}
    early = through(AsgiWrapper(breaks), {**scope, "path": "/early/"})
    assert [event.get("status") for event in early] == [500, None]
    assert {name.title() for name in HEADERS} <= {name.decode().title() for name, _ in early[0]["headers"]}
    assert b"pool" not in early[1]["body"]
    late = through(AsgiWrapper(breaks), {**scope, "path": "/late/"})
    assert late == [late[0], {"type": "http.response.body", "body": b""}]
    said = [record.name for record in caplog.records if record.levelno >= logging.WARNING]
    assert said == ["project.server.asgi_wrapper"] * 2


# --- The nonce ---


def _with_script(request: HttpRequest) -> HttpResponse:
    page = engines["django"].from_string('<script nonce="{{ request.csp_nonce }}">1</script>')
    return HttpResponse(page.render({}, request))


@csp_update({"img-src": ["https://pictures.example"]})
def _with_pictures(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("<p>Pictures of others</p>")


@csp_exempt()
def _with_none(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("<p>No policy</p>")


urlpatterns = [
    path("with-script/", _with_script),
    path("with-pictures/", _with_pictures),
    path("with-none/", _with_none),
]


@pytest.mark.django_db
def test_a_page_of_ones_own_may_have_a_script_in_it_by_a_nonce(client: Client, settings: Settings) -> None:
    """T-85: fresh for each answer, and only in the policy of a page that uses it."""
    settings.ROOT_URLCONF = __name__
    nonces = set()
    for _ in range(3):
        answer = client.get("/with-script/")
        (nonce,) = re.findall(r'nonce="([A-Za-z0-9+/=]{22,})"', answer.content.decode())
        assert f"'nonce-{nonce}'" in answer.headers["Content-Security-Policy"]
        nonces.add(nonce)
    assert len(nonces) == 3


@pytest.mark.django_db
def test_a_view_of_ones_own_may_have_another_policy(client: Client, settings: Settings) -> None:
    """By django-csp's decorators. It is nobody else's then."""
    settings.ROOT_URLCONF = __name__
    name = "Content-Security-Policy"
    assert "https://pictures.example" in client.get("/with-pictures/")[name]
    assert name not in client.get("/with-none/")
    assert "https://pictures.example" not in client.get("/nowhere/").get(name, "")
    settings.ROOT_URLCONF = "project.urls"
    assert "https://pictures.example" not in client.get("/")[name]


# --- Cookies ---


def test_no_cookie_of_a_whole_visit_can_be_planted_or_read_on_its_way(world: Stack) -> None:
    """T-44: every Set-Cookie over TLS: of signing in and out, the language, a wait, and the admin's messages."""
    person, other = Visitor(world), Visitor(world)
    mobile = number()
    other.get("/login/")
    assert other.post("/code/", mobile=mobile).status_code == 202
    steps = [
        person.get("/login/"),
        person.post("/i18n/setlang/", language="zh-hans", next="/"),
        person.post("/code/", mobile=mobile),
        person.post("/code/withdraw/"),
        person.post("/login/", username="operator", password=PASSWORD, remembered="on"),
        person.get("/admin/accounts/user/add/"),
        person.post("/admin/accounts/user/add/", username="new-one", usable_password="false", mobile=""),
        person.get("/admin/accounts/user/"),
        person.post("/logout/"),
        person.get("/"),
    ]
    assert [step.status_code for step in steps] == [200, 302, 429, 200, 302, 200, 302, 200, 302, 200]
    assert "new-one" in steps[7].text, "the admin has said something, or this test means nothing"
    lines = [line for step in steps for line in step.headers.get_list("set-cookie")]
    names = set()
    for line in lines:
        pair, *attributes = [part.strip() for part in line.split(";")]
        attributes = [attribute.lower() for attribute in attributes]
        names.add(name := pair.split("=")[0])
        assert "secure" in attributes, line
        assert "path=/" in attributes, line
        assert "samesite=lax" in attributes, line
        assert not any(attribute.startswith("domain") for attribute in attributes), line
        assert len(line) < 1000
        if name in {"__Host-sessionid", "__Host-wait"}:
            assert "httponly" in attributes
    # The display name and the language are nobody's secret, and nothing trusts them.
    assert names == {
        "__Host-sessionid",
        "__Host-csrftoken",
        "__Host-wait",
        "__Host-device",
        "username",
        "way",
        "django_language",
    }


def test_no_answer_has_a_browser_clear_what_others_keep_in_it(world: Stack) -> None:
    """T-39: no cache keeps what shows a person, so a sign-out, which took seconds in a full profile, clears nothing."""
    person = Visitor(world)
    assert person.get("/login/").status_code == 200
    assert person.post("/login/", username="alice", password=PASSWORD).status_code == 302
    for kind in ("text/html", "application/json"):
        assert "Clear-Site-Data" not in person.get("/", navigate=True).headers
        answer = person.post_as(kind, "/logout/")
        assert "no-store" in answer.headers["Cache-Control"]
        assert "Clear-Site-Data" not in answer.headers
        page = person.get("/", navigate=True)
        assert "private" in page.headers["Cache-Control"]
        assert "Clear-Site-Data" not in page.headers


# --- Who is asked for ---


@pytest.mark.parametrize(
    "line",
    [
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Server: evil.example",
        "X-Forwarded-Prefix: /evil",
        "X-Forwarded-Port: 666",
        "X-Forwarded-Proto: https",
        "X_Forwarded_Proto: https",
        "Forwarded: for=1.2.3.4;host=evil.example;proto=https",
        "X-Real-IP: 1.2.3.4",
        "X-Original-URL: /evil",
        "X-Rewrite-URL: /evil",
        "X-Script-Name: /evil",
        "X-HTTP-Method-Override: POST",
    ],
)
def test_a_visitor_cannot_say_where_the_site_is(plain: Stack, line: str) -> None:
    """T-82: with no proxy of ours, no header moves an address or makes plain http pass for TLS."""
    for target in ("/login/?next=/x", "/i18n/setlang/", "/nowhere/"):
        usual = ask(plain, target, tls=False, host="127.0.0.1")
        told = ask(plain, target, line, tls=False, host="127.0.0.1")
        assert (told.status, told.headers.get("Location")) == (usual.status, usual.headers.get("Location"))
        assert "Strict-Transport-Security" not in told.headers
        assert b"evil" not in told.body
        addresses = rb'(?:href|action|src)="([^"]*)"'
        assert re.findall(addresses, told.body) == re.findall(addresses, usual.body)


@pytest.mark.parametrize("value", [b"//evil.example", b"/evil", b"/login", b"/\xff", b"%ff", b""])
def test_the_root_path_is_ours_to_say_to_the_server_too(plain: Stack, value: bytes) -> None:
    """T-82, D-6: daphne would take it from anybody, and fail on a letter that is not ASCII. On a handshake as well."""
    logged = len(plain.logs())
    head = b"\nHost: 127.0.0.1\nDaphne-Root-Path: " + value
    page = send(plain, b"GET /login/ HTTP/1.1\nConnection: close" + head)
    assert (page.status, b"evil" in page.body) == (200, False)
    handshake = (
        b"GET /ws/ HTTP/1.1\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: "
        + KEY.encode()
        + b"\nOrigin: http://127.0.0.1\n"
    )
    (cookie, *_) = [line for line in ask_plain(plain) if line.startswith("Cookie")]
    assert send(plain, handshake + cookie.encode() + head).status == 101
    assert "Traceback" not in plain.logs()[logged:]


def ask_plain(stack: Stack) -> list[str]:
    """Return the session's cookie of a visitor on this machine, as a line of a head."""
    answer = ask(stack, "/login/", tls=False, host="127.0.0.1")
    return [f"Cookie: sessionid={set_cookies(answer)['sessionid'].value}"]


@pytest.mark.parametrize(
    "host",
    [f"{HOST}\nHost: evil.example", f"evil.example\nHost: {HOST}", f"evil.example, {HOST}", f"{HOST}.evil.example",
     f"{HOST}@evil.example", f"{HOST}:80:80", "evil.example"],
)  # fmt: skip
def test_another_host_is_refused_and_never_repeated(world: Stack, host: str) -> None:
    """T-83: two Host headers too."""
    answer = ask(world, "/login/", host=host)
    assert answer.status == 400
    assert b"evil" not in answer.body
    assert "evil" not in str(answer.headers)
    plain_http = ask(world, "/login/", host=host, tls=False)
    assert "evil" not in plain_http.headers.get("Location", "")


def test_plain_http_is_sent_to_the_address_that_we_know(world: Stack) -> None:
    """T-83: not to the one that was asked for, though it is one of ours."""
    answer = ask(world, "/login/?next=/a", tls=False, host="127.0.0.1")
    assert (answer.status, answer.headers["Location"]) == (301, f"https://{HOST}/login/?next=/a")
    assert set_cookies(answer) == {}


def test_neither_the_code_nor_the_language_leads_to_another_site(plain: Stack) -> None:
    """T-47: the whole table of test_login.py, through the other two forms that take a `next`."""
    for wanted in (*ELSEWHERE, *HERE):
        stays = wanted in HERE
        person, mobile = plain.person(), number()
        switched = person.page("/i18n/setlang/", language="zh-hans", next=wanted)
        assert switched.status_code in {204, 302}, wanted
        leads_to = httpx.URL(plain.url).join("/i18n/setlang/").join(switched.headers.get("Location", "/"))
        assert (leads_to.scheme, leads_to.netloc.decode()) == ("http", plain.url.removeprefix("http://")), wanted
        assert person.ask(mobile).status_code == 202
        answer = person.page("/login/code/", code=code_for(plain, mobile), next=wanted)
        assert (answer.status_code, answer.headers["Location"]) == (302, wanted if stays else "/"), wanted
        person.close()


# --- What nobody may do without a token ---


def views(patterns: list[URLPattern | URLResolver], before: str = "") -> Iterator[tuple[str, Any]]:
    """Return every address and its view."""
    for pattern in patterns:
        address = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from views(pattern.url_patterns, address)
        else:
            yield address, pattern.callback


def test_providers_alone_post_without_a_token() -> None:
    """T-45: of all views, the admin's among them."""
    found = dict(views(get_resolver().url_patterns))
    assert len(found) > 30, "or this test means nothing"
    exempt = {address for address, view in found.items() if getattr(view, "csrf_exempt", False)}
    assert exempt == {"receipts/<slug:gateway>/<str:secret>/", "receipts/<slug:gateway>/<str:secret>"}


# --- Health ---


def test_health_tells_one_word_and_no_more(world: Stack) -> None:
    """T-92: to anybody; nobody works here, and the answer says so and names no version, address or number."""
    alive, ready = ask(world, "/healthz"), ask(world, "/readyz")
    assert (alive.status, alive.body) == (200, b"ok")
    assert (ready.status, json.loads(ready.body)) == (503, {"ready": False, "reason": "sweeper"})
    assert set_cookies(alive) == set_cookies(ready) == {}
    for target in ("/metrics", "/status", "/debug/", "/server-status", "/.env", "/.git/config", "/static/../.env"):
        assert ask(world, target).status == 404, target


# --- The admin ---


def test_the_admin_is_not_there_unless_it_is_asked_for(plain: Stack) -> None:
    """T-89: and a fresh database has no account."""
    with closing(sqlite3.connect(migrated_database())) as fresh:
        assert fresh.execute("SELECT count(*) FROM accounts_user").fetchone() == (0,)
    for target in ("/admin/", "/admin/login/", "/admin/accounts/user/", "/admin/logout/", "/admin/jsi18n/"):
        answer = ask(plain, target, tls=False, host="127.0.0.1")
        assert (answer.status, b'<p class="status">404</p>' in answer.body) == (404, True), target
    for target in ("/static/admin/css/base.css", "/static/admin/js/core.js", "/static/admin/img/README.md"):
        assert ask(plain, target, tls=False, host="127.0.0.1").status == 404, target


def test_the_admin_has_no_login_of_its_own(world: Stack) -> None:
    """T-89: whoever is not in goes through our login and its limits. Who is no staff is refused, not led in circles."""
    nobody = Visitor(world)
    first = nobody.get("/admin/accounts/user/")
    assert first.status_code == 302
    second = nobody.get(first.headers["Location"])
    assert (second.status_code, second.headers["Location"]) == (302, "/login/?next=/admin/accounts/user/")
    assert nobody.get("/admin/login/").headers["Location"] == "/login/?next=/admin/"
    form = nobody.get(second.headers["Location"])
    assert (form.status_code, 'name="next" value="/admin/accounts/user/"' in form.text) == (200, True)
    before = world.rows("SELECT count(*) AS n FROM django_session")
    fields = {"username": "alice", "password": PASSWORD, "next": "/admin/"}
    posted = nobody.post("/admin/login/", **fields)
    assert (posted.status_code, posted.headers["Location"]) == (302, "/login/?next=/admin/")
    assert world.rows("SELECT count(*) AS n FROM django_session") == before, "a password there opens nothing"

    answer = nobody.post("/login/", **fields)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")
    hops = [answer.headers["Location"]]
    while (page := nobody.get(hops[-1])).status_code == 302:
        hops.append(page.headers["Location"])
        assert len(hops) < 4, hops
    assert (page.status_code, '<p class="status">403</p>' in page.text) == (403, True)
    assert not re.search(r"<input[^>]*password", page.text)


@pytest.mark.parametrize("wanted", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:x"])
def test_the_admin_s_door_leads_nowhere_else(world: Stack, wanted: str) -> None:
    """T-47: what it hands on to our login is dropped there."""
    person = Visitor(world)
    answer = person.get(f"/admin/login/?{urlencode({'next': wanted})}")
    assert answer.headers["Location"].startswith("/login/?next=")
    form = person.get(answer.headers["Location"])
    assert 'name="next" value=""' in form.text
    assert not re.search(r'name="next" value="(?!/login/)[^"]+"', form.text)


def test_the_admin_s_sign_out_is_ours(world: Stack) -> None:
    """T-89, T-45: with the display name gone, storage cleared, and not by a link."""
    person = Visitor(world)
    person.get()
    person.post("/login/", username="operator", password=PASSWORD)
    assert person.get("/admin/").status_code == 200
    assert person.get("/admin/login/").headers["Location"] == "/admin/"
    assert person.get("/admin/password_change/").headers["Location"] == "/password/"
    assert person.get("/admin/logout/").status_code == 405
    assert person.get("/admin/").status_code == 200
    answer = person.post("/admin/logout/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    assert "username" not in person.cookies
    assert person.get("/admin/").status_code == 302
