"""The WSGI environment of an ASGI request, made by a2wsgi.

`a2wsgi.WSGIMiddleware` is the public way to run a request. Its thread asks the event loop for the body and hands it the
head, each piece and the end of the answer, and waits each time.

Saves: those waits, 22 of 100 parts of Python's time under load (53 % to 31 % in the loop, docs/performance.md).
Breaks if: `a2wsgi.wsgi.build_environ(scope, body)` moves or takes other arguments. Held by tests/project/test_hooks.py.
"""

from __future__ import annotations

import io
from typing import Any

from a2wsgi.wsgi import build_environ


def environ_of(scope: dict[str, Any], body: bytes) -> dict[str, Any]:
    """Return the environment of a request whose body has come as a whole."""
    environ: Any = build_environ(scope, io.BytesIO(body))  # type: ignore[arg-type]
    # A body in chunks has no length, and would be empty for WSGI.
    environ.setdefault("CONTENT_LENGTH", str(len(body)))
    # a2wsgi takes it from this process's environment variables, if there is one.
    environ["SCRIPT_NAME"] = ""
    made: dict[str, Any] = environ
    return made
