"""A push is written and not waited for. It arrives all the same, and what goes wrong with it is told in the log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from project import redis
from project.live import push
from project.run import valkey
from tests.support.stack import ROOT, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from redis import Redis

GROUP = "browser.push"
# Seconds in which all that was pushed is there, on a busy machine.
PATIENCE = 30
# A process that pushes and ends at once.
BRIEF = f"""
import django
django.setup()
from project.live.push import push
for n in range(500):
    push({GROUP!r}, "brief", n=n)
"""

# A server's process whose first pushes come from many request threads at once. Then a page joins and is told.
FIRST = f"""
import asyncio, threading
import django
django.setup()
from channels.layers import channel_layers, get_channel_layer
from project.live.push import push
from project.server import process
process.start()
made = dict(channel_layers.backends)
line = threading.Barrier(16)
def request():
    line.wait()
    push({GROUP!r}, "first")
threads = [threading.Thread(target=request) for _ in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
async def page():
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add({GROUP!r}, channel)
    push({GROUP!r}, "told")
    return await asyncio.wait_for(layer.receive(channel), 20)
print(asyncio.run(page())["type"], made["default"] is get_channel_layer())
"""


class Ear:
    """Who listens to the group, as a server with open pages does."""

    def __init__(self, client: Redis) -> None:
        """Listen from now on."""
        self.heard: list[bytes] = []
        self.channel, _message = push.published(GROUP, "any")
        self.listening = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        self.listening.subscribe(self.channel)
        self.listening.get_message(timeout=PATIENCE)

    def has(self, number: int) -> bool:
        """Tell whether so many pushes have come."""
        while message := self.listening.get_message(timeout=0.01):
            self.heard.append(message["data"])
        return len(self.heard) >= number

    def waits_for(self, number: int) -> None:
        """Wait until so many have come; there are no more."""
        wait_until(lambda: self.has(number), PATIENCE, "not every push came")
        assert not self.has(number + 1)


@pytest.fixture
def server(settings: Any) -> Redis:
    """A Valkey of this process, where nothing has been pushed yet."""
    valkey.ensure(settings.VAR_DIR)
    return redis.client()


@pytest.fixture
def ear(server: Redis) -> Iterator[Ear]:
    """Who listens."""
    ear = Ear(server)
    yield ear
    ear.listening.close()


@pytest.fixture
def hung(server: Redis, settings: Any) -> Iterator[Callable[[int], None]]:
    """Send the server a signal; in the end it goes on."""
    process = valkey.owned[settings.VAR_DIR / "valkey"].server
    yield process.send_signal
    process.send_signal(signal.SIGCONT)


def connections(server: Redis) -> int:
    """Return how many connections were ever opened."""
    return int(server.info("stats")["total_connections_received"])


def many(number: int) -> None:
    """Push so often."""
    for _ in range(number):
        push.push(GROUP, "many")


def test_a_thread_has_one_connection_for_all_its_pushes(server: Redis, ear: Ear) -> None:
    push.push(GROUP, "first")
    before = connections(server)
    threads = [threading.Thread(target=many, args=(250,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ear.waits_for(1 + 8 * 250)
    many(10)
    assert connections(server) == before + 8


def test_a_connection_that_was_closed_meanwhile_costs_no_push(
    server: Redis, ear: Ear, caplog: pytest.LogCaptureFixture
) -> None:
    """By a server that was started again, or a firewall that forgets who says nothing."""
    push.push(GROUP, "before")
    ear.waits_for(1)
    for client in server.client_list(_type="normal"):
        if client["cmd"] == "publish":
            server.client_kill_filter(_id=client["id"])
    push.push(GROUP, "after")
    ear.waits_for(2)
    assert "push" not in caplog.text


def test_nobody_waits_for_a_hung_server(server: Redis, ear: Ear, hung: Callable[[int], None]) -> None:
    push.push(GROUP, "before")
    ear.waits_for(1)
    hung(signal.SIGSTOP)
    began = time.monotonic()
    many(20)
    # Each would wait a second for an answer.
    assert time.monotonic() - began < 10
    hung(signal.SIGCONT)
    ear.waits_for(21)


def test_a_connection_that_has_gone_silent_is_given_up(
    server: Redis, ear: Ear, hung: Callable[[int], None], caplog: pytest.LogCaptureFixture
) -> None:
    """As when the other machine has lost its power: no push would be heard of until TCP gives up."""
    push.push(GROUP, "before")
    ear.waits_for(1)
    hung(signal.SIGSTOP)
    push.push(GROUP, "into the silence")
    time.sleep(push.SILENCE_SECONDS + 0.5)
    push.push(GROUP, "another connection")
    assert "1 pushes may be lost: redis TimeoutError" in caplog.text
    hung(signal.SIGCONT)
    push.push(GROUP, "after")
    # What was written into the silence may come as well.
    wait_until(lambda: ear.has(2) and b"after" in ear.heard[-1], PATIENCE, "it does not come back")


def test_what_is_refused_is_told_at_the_next_push(
    server: Redis, ear: Ear, caplog: pytest.LogCaptureFixture, settings: Any
) -> None:
    """It raises nothing, and the next one that is allowed arrives."""
    server.execute_command("ACL", "SETUSER", "default", "-publish")  # type: ignore[no-untyped-call]
    try:
        push.push(GROUP, "refused")

        def told() -> bool:
            push.push(GROUP, "refused as well")
            return "may be lost: redis NOPERM" in caplog.text

        wait_until(told, PATIENCE, "nobody is told")
    finally:
        server.execute_command("ACL", "SETUSER", "default", "+publish")  # type: ignore[no-untyped-call]
    push.push(GROUP, "allowed")
    ear.waits_for(1)


def test_a_process_that_ends_at_once_has_pushed_all(server: Redis, ear: Ear, settings: Any, tmp_path: Path) -> None:
    environment = {**os.environ, "REDIS_URL": settings.REDIS_URL, "DJANGO_SETTINGS_MODULE": "project.settings"}
    subprocess.run([sys.executable, "-c", BRIEF], cwd=ROOT, env=environment, check=True, timeout=60)
    ear.waits_for(500)


def test_a_fork_has_a_connection_of_its_own(server: Redis, ear: Ear) -> None:
    push.push(GROUP, "parent")
    child = os.fork()
    if child == 0:
        try:
            push.push(GROUP, "child")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    push.push(GROUP, "parent again")
    ear.waits_for(3)


def test_pages_and_the_first_pushes_of_a_process_share_one_layer(
    server: Redis, ear: Ear, settings: Any, tmp_path: Path
) -> None:
    """With two, a channel of one is unknown to the other, and a page's socket closes as it joins its group."""
    environment = {**os.environ, "REDIS_URL": settings.REDIS_URL, "DJANGO_SETTINGS_MODULE": "project.settings"}
    done = subprocess.run(
        [sys.executable, "-c", FIRST], cwd=ROOT, env=environment, check=True, timeout=60, capture_output=True, text=True
    )
    assert done.stdout.split() == ["told", "True"]
    ear.waits_for(17)
