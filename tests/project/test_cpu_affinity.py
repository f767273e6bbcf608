"""Processes that are pinned to a core: each on another, and who works without Python on all that are left."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from typing import Any

import pytest

from tests.support.stack import ROOT

CORES = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []

pytestmark = pytest.mark.skipif(len(CORES) < 2, reason="there is one core, or this is not Linux")

PIN = """
import json, os, sys, threading
from project import cpu_affinity
at = cpu_affinity.pin(sys.argv[1])
seen = []
for let in (lambda: None, cpu_affinity.unpin):
    thread = threading.Thread(target=lambda: (let(), seen.append(sorted(os.sched_getaffinity(0)))))
    thread.start()
    thread.join()
print(json.dumps([at, sorted(os.sched_getaffinity(0)), *seen]), flush=True)
sys.stdin.read()
"""
# Who hashes and who does not, behind the server.
SERVE = """
import asyncio, json, os, sys
from project import cpu_affinity
cpu_affinity.pin(sys.argv[1])
from project.server.thread_pools import ThreadPools
from tests.support.asgi import ask
on = {}
def application(environ, start_response):
    on[environ["PATH_INFO"]] = sorted(os.sched_getaffinity(0))
    start_response("200 OK", [])
    return [b""]
async def visit():
    pools = ThreadPools(application, workers=2, hashers=1, address_of=lambda scope: scope["client"][0])
    await ask(pools, "POST", "/code/")
    await ask(pools, "POST", "/login/")
asyncio.run(visit())
print(json.dumps(on))
"""


@pytest.fixture
def name() -> str:
    """A name that no other process is pinned by."""
    return f"test {secrets.token_hex(8)}"


def run(what: str, name: str) -> subprocess.Popen[str]:
    """Begin a process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", what, name],
        cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def said(process: subprocess.Popen[str]) -> Any:
    """Return what a process has to say."""
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def test_each_process_has_a_core_of_its_own_and_its_threads_with_it(name: str) -> None:
    processes = [run(PIN, name) for _ in CORES]
    try:
        told = [said(process) for process in processes]
        assert sorted(at for at, *_ in told) == CORES
        for at, here, thread, roaming in told:
            assert (here, thread, roaming) == ([at], [at], [core for core in CORES if core != at])
        late = run(PIN, name)
        processes.append(late)
        assert said(late) == [None, CORES, CORES, CORES], "there is none left"
    finally:
        for process in processes:
            process.communicate()
    # Without a word: they are gone.
    again = run(PIN, name)
    assert said(again)[0] in CORES
    again.communicate()


def test_passwords_are_hashed_on_the_other_cores(name: str) -> None:
    process = run(SERVE, name)
    on = said(process)
    process.communicate()
    (mine,) = on["/code/"]
    assert on["/login/"] == [core for core in CORES if core != mine]
