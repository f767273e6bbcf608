"""A worker may have processes instead of threads (`huey_consumer -k process`), with either broker."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support import services
from tests.support.numbers import number
from tests.support.stack import ROOT, Stack, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["redis", "rabbitmq"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site whose worker has two processes."""
    url = services.rabbitmq() if request.param == "rabbitmq" else ""
    stack = Stack(tmp_path_factory.mktemp("processes"), BROKER_URL=url, SMS_COOLDOWN="0")
    command = stack.workers[0].command
    command[command.index("-w") + 1], command[command.index("-k") + 1] = "2", "process"
    with stack:
        yield stack
    if url:
        services.delete_queues(url, stack.settings["QUEUE_NAME"])


def test_a_worker_with_processes_sends_and_ends_when_it_is_asked_to(site: Stack) -> None:
    """Each forked process has connections of its own."""
    mobiles = [number() for _ in range(6)]
    for mobile in mobiles:
        assert site.person().ask(mobile).status_code == 202
    wait_until(lambda: {row["state"] for row in site.deliveries()} == {"sent"}, 30, "not all are sent")
    assert [row["attempts"] for row in site.deliveries()] == [1] * len(mobiles)
    worker = site.workers[0]
    assert worker.process is not None
    worker.signal(signal.SIGTERM)
    assert worker.process.wait(30) == 0
    assert "Traceback" not in worker.text()
    # Another one takes up what is asked for meanwhile.
    late = number()
    assert site.person().ask(late).status_code == 202
    worker.start()
    site.phone.code_for(late)
    assert "Traceback" not in worker.text()


def test_a_worker_with_greenlets_is_refused_with_a_sentence(tmp_path: Path) -> None:
    """They would send one SMS at a time, and end only after the last."""
    stack = Stack(tmp_path)
    command = [*stack.workers[0].command]
    command[command.index("-k") + 1] = "greenlet"
    with stack:
        ended = subprocess.run(
            command, cwd=ROOT, env=stack.environment, capture_output=True, text=True, timeout=30, check=False
        )
    assert ended.returncode == 1
    assert (
        ended.stderr.strip().splitlines()[-1]
        == "The worker cannot run with -k greenlet. Write -k thread or -k process."
    )
    assert "Traceback" not in ended.stderr
