"""What happens to a request between daphne and Django's WSGI handler: it is made to say only what it may say."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

# Headers that daphne itself would act on, were they ours to believe.
FORBIDDEN = frozenset({b"daphne-root-path"})
# Headers with parameters that Django reads.
PARAMETERS = frozenset({b"accept", b"content-type"})
# More than any form or delivery report of ours, so the body need not be kept to be refused.
MOST_BODY = 1024 * 1024


class Front:
    """Wraps the HTTP application."""

    def __init__(self, application: Any) -> None:
        """Take the application to wrap."""
        self.application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Clean the scope and pass it on.

        WSGI makes one name of `X-Real-IP` and `X_Real_IP`, so names with an underscore are dropped. The root
        path is ours to say, not the `Daphne-Root-Path` header's. The query is ASCII by the standard. A body
        without a length (chunked) would be empty for WSGI, and daphne has it whole, so it gets one.
        """
        headers = [(k, v) for k, v in scope["headers"] if b"_" not in k and k.lower() not in FORBIDDEN]
        # `name*=charset'...'` in one of these: Django fails on a charset that does not exist.
        headers = [(k, v) for k, v in headers if k not in PARAMETERS or b"*=" not in v.replace(b" ", b"")]
        query = quote(scope["query_string"], safe="%&=+;/?:@!$'()*,-._~").encode()
        if not any(name == b"content-length" for name, _ in headers) and scope["method"] not in {"GET", "HEAD"}:
            body, receive = await _whole(receive)
            headers.append((b"content-length", str(len(body)).encode()))
        clean = {**scope, "root_path": "", "headers": headers, "query_string": query}
        await self.application(clean, receive, send)


async def _whole(receive: Any) -> tuple[bytes, Any]:
    """Return the body, and a `receive` that gives it again. Past MOST_BODY it is cut: Django refuses its length."""
    body = b""
    more = True
    while more:
        event = await receive()
        if event["type"] != "http.request":
            break
        body = (body + event.get("body", b""))[: MOST_BODY + 1]
        more = event.get("more_body", False)
    given = False

    async def again() -> dict[str, Any]:
        nonlocal given
        if given:
            return await receive()  # type: ignore[no-any-return]
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return body, again
