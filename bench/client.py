"""The visitors: `wrk` with a script of ours, and the browsers whose cookies it sends."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.sites import Site

SCRIPT = Path(__file__).with_name("load.lua")
# More than there are connections, so that no two requests at once are of one session.
BROWSERS = 64
CONNECTIONS = 32
# The share of answers that may be another one than was meant.
STRAY = 0.01


class Missing(Exception):
    """There is no wrk; the message says where to get it."""


class Spoiled(Exception):
    """Something else was measured than was meant: a limit has bitten, or a server broke."""


@dataclass(slots=True)
class Road:
    """What visitors do at a site, and the answer that counts. Its numbers are each asked for once."""

    site: Site
    path: str
    status: int
    # With a place for eight digits; empty for a GET.
    body: str = ""
    # The page that gives session and token; empty when each request is a new visitor's.
    page: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    # 0: the same number again and again.
    step: int = 1
    # Each request puts a task into the queue.
    enqueues: bool = False
    # The next number that nobody has asked for.
    first: int = 0
    _browsers: list[dict[str, str]] = field(default_factory=list)

    def browsers(self) -> list[dict[str, str]]:
        """Return the headers of each browser, opened at the first call."""
        if not self._browsers:
            self._browsers = [self._open() for _ in range(BROWSERS)] if self.page else [dict(self.headers)]
        return self._browsers

    def _open(self) -> dict[str, str]:
        """Open the page, for the session and the token that it gives."""
        with httpx.Client(base_url=self.site.url, timeout=30, verify=False) as http:
            http.get(self.page, headers={"Accept": "text/html"}).raise_for_status()
            headers = {
                "Content-Type": "application/x-www-form-urlencoded",
                "X-CSRFToken": http.cookies["csrftoken"],
                **self.headers,
            }
            cookies = "; ".join(f"{name}={value}" for name, value in http.cookies.items())
            return {**headers, "Cookie": cookies}


@dataclass(frozen=True, slots=True)
class Load:
    """What one round came to."""

    answers: int
    per_second: float
    # Milliseconds.
    p50: float
    p99: float


def program() -> str:
    """Return where wrk is. Raises Missing."""
    if found := shutil.which("wrk"):
        return found
    raise Missing("wrk is not installed, and nothing is measured without it: apt install wrk, or brew install wrk")


def drive(road: Road, *, seconds: int, connections: int = CONNECTIONS) -> Load:
    """Send requests down a road for some seconds. Raises Missing, or Spoiled when the answers are other ones."""
    # One for each road: two may be driven at once.
    plan = road.site.folder / f"load{road.path.rstrip('/').replace('/', '-')}.lua"
    plan.write_text(_plan(road))
    command = [program(), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout=30s", f"-s{SCRIPT}"]
    done = subprocess.run([*command, road.site.url, "--", plan], capture_output=True, text=True, check=True)
    said = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    road.first += road.step * said["sent"]
    if not said["wanted"] or said["others"] + said["broken"] > said["wanted"] * STRAY:
        raise Spoiled(f"{road.site.name}: {road.path} was not answered with {road.status}: {said}")
    return Load(said["wanted"], said["wanted"] / said["seconds"], said["p50"], said["p99"])


def _plan(road: Road) -> str:
    """Return a road as the Lua table that load.lua reads. JSON's texts are Lua's, as long as they are ASCII."""
    values = {
        "method": "POST" if road.body else "GET",
        "path": road.path,
        "body": road.body,
        "status": road.status,
        "first": road.first,
        "step": road.step,
    }
    rows = [f"  {name} = {json.dumps(value)}," for name, value in values.items()]
    browsers = [
        "    {" + ", ".join(f"[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items()) + "},"
        for headers in road.browsers()
    ]
    return "\n".join(["return {", *rows, "  browsers = {", *browsers, "  },", "}", ""])
