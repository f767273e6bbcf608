"""A worker that is asked to end lets what it is sending be sent."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

from tests.support.numbers import number
from tests.support.provider import Provider
from tests.support.providers.fake import Request
from tests.support.stack import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.stack import Stack


class WaitingProvider(Provider):
    """Answers no request before it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = threading.Event()

    def begin(self, request: Request) -> None:
        """Note the request, then wait for the word."""
        super().begin(request)
        self.answers.wait(4)


def test_a_deploy_lets_the_sends_in_flight_finish_and_loses_none_that_wait(make_stack: Callable[..., Stack]) -> None:
    """T-70: SIGTERM under the plain command, no flags. Four are in flight, four wait."""
    with WaitingProvider() as provider:
        stack = make_stack(provider=provider)
        worker = stack.workers[0]
        assert worker.process is not None
        # All eight are there before it takes the first: the provider holds a request for four seconds only.
        stack.hang(worker)
        for _ in range(8):
            assert stack.person().ask(number()).status_code == 202
        worker.signal(signal.SIGCONT)
        wait_until(lambda: len(provider.requests) == 4, 20, "four sends in flight")
        worker.process.terminate()
        # It has heard it, and it waits.
        wait_until(lambda: "Shutting down" in worker.text(), 10, "the worker did not hear SIGTERM")
        provider.answers.set()
        assert worker.process.wait(25) == 0
        outcomes = [attempt["outcome"] for attempt in stack.attempts()]
        assert outcomes == ["accepted"] * 4
        states = sorted(row["state"] for row in stack.deliveries())
        assert states == ["queued"] * 4 + ["sent"] * 4
        worker.start()
        wait_until(lambda: all(row["state"] == "sent" for row in stack.deliveries()), 60, "the others were not sent")
        assert len(provider.sent) == 8


def test_a_server_that_is_asked_to_end_does_not_wait_for_its_own_threads(make_stack: Callable[..., Stack]) -> None:
    """A thread that hands its answer to the loop must not wait for a loop that has stopped."""
    stack = make_stack(workers=0)
    web = stack.webs[0]
    for round_ in range(6):
        if round_:
            web.start()
            stack.wait_for_web()
        person = stack.person()
        for _ in range(3):
            person.open().wait_for("connection", state="live")
        asking = [threading.Thread(target=stack.get, args=("/login/",)) for _ in range(8)]
        for thread in asking:
            thread.start()
        person.get("/")
        assert web.stop(10) is not None
        for thread in asking:
            thread.join()
