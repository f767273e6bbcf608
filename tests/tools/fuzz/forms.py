"""Forms: whatever is sent ends in clean data or in one of the contract's words, and `next` never leads away."""

from __future__ import annotations

import json
import re
from typing import Any, cast
from urllib.parse import urljoin, urlsplit

from django.conf import settings
from django.core.exceptions import BadRequest, SuspiciousOperation
from django.http.multipartparser import MultiPartParserError
from django.test import RequestFactory
from django_htmx.middleware import HtmxDetails
from hypothesis import strategies as st

from accounts import responses
from accounts.forms import CodeForm, CodeRequestForm, Form, PasswordForm, sent
from project.web.http import Request
from tests.tools.fuzz.numbers import SIGNS
from tests.tools.fuzz.target import Target

HOST = "127.0.0.1"
FORMS: tuple[type[Form], ...] = (PasswordForm, CodeRequestForm, CodeForm)
NAMES = ("username", "password", "mobile", "code", "purpose", "remembered", "next", "altcha", "other")
# What the documents allow: see design and docs.
WORDS = {
    *("PARAM_MISSING", "USERNAME_FORMAT", "PASSWORD_FORMAT", "MOBILE_FORMAT", "SMS_CODE_WRONG", "PURPOSE_UNKNOWN"),
}
REFUSALS = (BadRequest, SuspiciousOperation, MultiPartParserError)
texts = st.one_of(st.text(SIGNS, max_size=40), st.text(max_size=200), st.text("0123456789 -", max_size=10))
fields = st.dictionaries(st.sampled_from(NAMES), st.one_of(texts, st.booleans()))
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=12,
)
bodies = st.one_of(
    st.binary(max_size=300),
    fields.map(lambda made: json.dumps(made).encode()),
    json_values.map(lambda made: json.dumps(made).encode()),
    json_values.map(lambda made: json.dumps(made, ensure_ascii=False).encode("utf-8", "surrogatepass")),
)


def any_fields(data: dict[str, Any]) -> None:
    """T-25, T-79, T-80: clean data of the promised form, or one word and the field that it is about."""
    for kind in FORMS:
        form = kind(data)
        if not form.is_valid():
            word, field = form.fault()
            assert word in WORDS, word
            assert field in form.fields
            continue
        clean = form.cleaned_data
        assert re.fullmatch(r"[0-9]{6}", clean.get("code", "000000"), re.ASCII)
        for name in ("mobile", "username"):
            value = clean.get(name)
            assert value is None or re.fullmatch(r"\+[0-9]{7,15}|[A-Za-z0-9_-]{5,20}", value, re.ASCII)
        assert clean.get("purpose", "login") == "login"
        # Exactly as typed.
        assert clean.get("password", str(data.get("password"))) == str(data.get("password"))
        assert 1 <= len(clean.get("password", "12345678")) <= 4096


def any_body(case: tuple[str, bytes]) -> None:
    """T-80, T-81: a body is fields, or a refusal that Django answers with 400."""
    content_type, body = case
    request = RequestFactory().generic("POST", "/code/", body, content_type=content_type)
    try:
        found = sent(request)
    except REFUSALS:
        return
    assert all(isinstance(value, str | bool) for value in found.values())
    for value in [*found, *found.values()]:
        # It can be hashed, written down and sent on.
        str(value).encode()
    any_fields({str(name): value for name, value in found.items()})


def resolved(address: str) -> str:
    """Return the host that a browser on our login page would go to, empty when it stays.

    By the URL standard (url.spec.whatwg.org, basic parser): ends are trimmed, tabs and line breaks dropped anywhere, a
    backslash is a slash, and two slashes begin a host.
    """
    address = address.strip("".join(map(chr, range(0x21))))
    address = re.sub(r"[\t\n\r]", "", address).replace("\\", "/")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", address):
        return address
    return re.split(r"[/?#]", address[2:])[0] or address if address.startswith("//") else ""


def any_next(wanted: str) -> None:
    """T-47: after a login a browser stays on this host, by whichever of the three ways it is sent on."""
    made = RequestFactory(headers={"host": HOST, "accept": "text/html"}).post("/login/", {"next": wanted})
    # As middleware completes it.
    request = cast("Request", made)
    destination = PasswordForm(request.POST).destination(request)
    assert destination == PasswordForm({"next": wanted}).destination(request)
    if not destination:
        return
    assert destination.startswith("/")
    for htmx, header in ((True, "HX-Redirect"), (False, "Location")):
        request.htmx = HtmxDetails(request) if not htmx else _Htmx(request)
        response = responses.gone_to(request, destination)
        target = response.headers[header]
        # As it stands on the wire.
        target.encode("ascii")
        for address in (destination, target):
            assert resolved(address) == "", (header, address)
            there = urlsplit(urljoin(f"https://{HOST}/login/", address))
            assert (there.scheme, there.netloc) == ("https", HOST)


class _Htmx(HtmxDetails):
    """A request of htmx's."""

    def __bool__(self) -> bool:
        return True


addresses = st.one_of(
    st.text("/\\.:@?#%&=;ehtpsjavcrip \t\r\n\x00\x0b\x1f0123456789[]²℀／＼。evil", max_size=40),
    st.text(max_size=60),
    st.lists(
        st.sampled_from(["/", "\\", "//", "https:", "javascript:", "@", "evil.example", HOST, "%2f", "%5c", "\t", "\n",
                         "?next=", "#", ".", "..", ";", ":", "[", "]", "/login/", " ", "\x00", "\u2028", "ａ"]),
        max_size=8,
    ).map("".join),
)  # fmt: skip
content_types = st.one_of(
    st.sampled_from(["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]),
    st.text(";=/ charsetutf-816boundary\"'x", max_size=30).map(lambda text: f"application/json;{text}"),
)


def json_body(data: bytes) -> None:
    """As any_body, for atheris."""
    any_body(("application/json", data[: settings.DATA_UPLOAD_MAX_MEMORY_SIZE]))


TARGETS = (
    Target("fields", fields, any_fields),
    Target("bodies", st.tuples(content_types, bodies), any_body, raw=json_body, seeds=(b'{"mobile": "13800138000"}',)),
    Target("next", addresses, any_next),
)
