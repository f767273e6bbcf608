"""`python -m tests.support.garbage /login/ /state/`: what a request leaves to the garbage collector.

Serves each path a hundred times in this process, with the collector off, and prints as JSON how many objects in cycles
each request has left, and how many of them are Django's requests with anything in them.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from typing import Any

from django.core.handlers.wsgi import WSGIRequest

from asgi import application
from tests.support.asgi import visit

REQUESTS = 100


async def _serve(path: str, times: int) -> None:
    for _ in range(times):
        heard: list[dict[str, Any]] = []
        await visit(application, heard.append, path=path)
        assert heard[0]["status"] == 200, (path, heard)
    # The thread closes the request after its answer is there.
    await asyncio.sleep(0.2)


async def _left(path: str) -> dict[str, float]:
    """Return what each request of this path leaves."""
    # What is made once is made: templates, connections of each thread.
    await _serve(path, REQUESTS)
    gc.collect()
    gc.disable()
    await _serve(path, REQUESTS)
    gc.set_debug(gc.DEBUG_SAVEALL)
    count = gc.collect()
    gc.set_debug(0)
    # By its type: to ask a lazy object for its class may raise what it likes.
    full = sum(issubclass(type(each), WSGIRequest) and bool(vars(each)) for each in gc.garbage)
    gc.garbage.clear()
    gc.enable()
    return {"objects": count / REQUESTS, "requests": full / REQUESTS}


async def _main() -> None:
    found = {path: await _left(path) for path in sys.argv[1:]}
    sys.stdout.write(json.dumps(found))
    sys.stdout.flush()
    # The pools' threads are no daemons.
    os._exit(0)


asyncio.run(_main())
