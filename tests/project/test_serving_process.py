"""Importing `asgi` changes nothing; serving it prepares the process, whichever server it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from project.run import valkey
from tests.support.stack import BIN, PATIENCE, ROOT, Part, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What a process is like, before and after it has imported the application.
COMPARE = """
import gc, json, os
# Python 3.12 has some frozen from the beginning.
frozen = gc.get_freeze_count()
def seen():
    from daphne import http_protocol, ws_protocol
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return [http_protocol.WebRequest.__module__, ws_protocol.WebSocketFactory.protocol.__module__,
            http_protocol.HTTPFactory.log.__module__, gc.get_threshold(), gc.get_freeze_count() - frozen, cores]
if DAPHNE_FIRST:
    import daphne.server
    before = seen()
import asgi
import sys
imported = sorted({"daphne", "twisted"} & set(sys.modules))
after = seen()
print(json.dumps([before if DAPHNE_FIRST else after, after, imported]))
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A site that nobody has started, with a Valkey of its own."""
    return {
        "PATH": os.environ["PATH"],
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "DEBUG": "1",
        "ENV_FILE": "",
        "VAR_DIR": str(tmp_path),
        "ONE_CORE": "1",
    }


def said(environment: dict[str, str], *words: str) -> Any:
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize("first", [True, False], ids=["after daphne", "alone"])
@pytest.mark.parametrize("shell", [("-c",), ("manage.py", "shell", "-v0", "-c")], ids=["python", "manage.py shell"])
def test_an_import_changes_nothing(
    environment: dict[str, str], tmp_path: Path, shell: tuple[str, ...], first: bool
) -> None:
    before, after, imported = said(environment, *shell, f"DAPHNE_FIRST = {first}\n{COMPARE}")
    assert before == after
    assert after[:3] == ["daphne.http_protocol", "daphne.ws_protocol", "twisted.web.http"]
    assert first or imported == [] or shell[0] == "manage.py"
    assert after[4] == 0, "something is frozen"
    assert len(after[5]) == len(os.sched_getaffinity(0))
    assert not valkey.answers(tmp_path), "a Valkey was started"


SERVERS = {
    "daphne": ["daphne", "-v", "0", "-p"],
    "uvicorn": ["uvicorn", "--ws-max-size", "65536", "--port"],
    "granian": ["granian", "--interface", "asgi", "--port"],
}


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, environment: dict[str, str], tmp_path: Path) -> Iterator[tuple[Part, int]]:
    """The application under a server that is started with no other step."""
    port = free_port()
    name, *options = SERVERS[request.param]
    part = Part("web", [str(BIN / name), *options, str(port), "asgi:application"], environment, tmp_path / "web.log")
    part.start()
    try:
        yield part, port
    finally:
        part.kill()


def test_a_server_alone_starts_what_it_needs(server: tuple[Part, int], tmp_path: Path) -> None:
    """The embedded Valkey answers, and the process is on a core of its own."""
    part, port = server

    def is_served() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    wait_until(is_served, PATIENCE, f"it does not answer, see {part.log}")
    assert valkey.answers(tmp_path)
    if sys.platform == "linux" and len(os.sched_getaffinity(0)) > 1 and "granian" not in part.command[0]:
        assert len(os.sched_getaffinity(part.pid)) == 1
    assert "Traceback" not in part.text()
