"""Where a `next` of an address may lead, and where it may not."""

from __future__ import annotations

HERE = ["/dev/queue/", "/logins/?next=/", "/%2f/evil.example", "/a?b=//evil.example&c=d", "/path#there"]
ELSEWHERE = [
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "https://evil.example/",
    "http://evil.example",
    "https:evil.example",
    "http:/evil.example",
    "http:///evil.example",
    "\x09//evil.example",
    "/\x09/evil.example",
    "/\x0a/evil.example",
    "\x00//evil.example",
    " //evil.example",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,x",
    "http://127.0.0.1@evil.example",
    "//127.0.0.1:80@evil.example/",
    "http://evil.example#@127.0.0.1",
    "ftp://127.0.0.1/",
    "login/",
    "evil.example",
    "?x",
    "/" + "a" * 10_000,
    "/\r\nSet-Cookie: a=b",
    "//😀.example",
]
