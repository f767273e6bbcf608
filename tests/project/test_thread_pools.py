"""The pools of threads behind the server: one request, its answer, and who holds up nobody else."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from django.http import HttpResponse, StreamingHttpResponse

from project.server import thread_pools
from project.server.asgi_wrapper import MAX_BODY
from tests.support.asgi import ask, visit
from tests.support.stack import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

# More than any of the pools has threads.
MANY = 40
WORKERS, HASHERS = 4, 2


class Site:
    """A WSGI application whose POST /login/ takes until it is let go."""

    def __init__(self) -> None:
        """Begin with nobody in it."""
        self.go = threading.Event()
        # As many as are let go one by one.
        self._pass = threading.Semaphore(0)
        self.inside = self.most = self.served = 0
        self._count = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        """Answer 200, at once or when let go."""
        if environ["REQUEST_METHOD"] == "POST" and environ["PATH_INFO"] == "/login/":
            with self._count:
                self.inside += 1
                self.most = max(self.most, self.inside)
            assert self._may_go()
            with self._count:
                self.inside -= 1
                self.served += 1
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"done"]

    def pass_one(self) -> None:
        """Let one of those inside go."""
        self._pass.release()

    def _may_go(self) -> bool:
        return any(self.go.is_set() or self._pass.acquire(timeout=0.02) for _ in range(3000))


def client(scope: dict[str, Any]) -> str:
    """Return a visitor's address."""
    return str(scope["client"][0])


def pools_of(site: Site) -> thread_pools.ThreadPools:
    """Return the pools in front of a site."""
    return thread_pools.ThreadPools(site, workers=WORKERS, hashers=HASHERS, address_of=client)


def test_who_does_not_sign_in_does_not_wait_for_those_who_do() -> None:
    async def crowd() -> None:
        site = Site()
        pools = pools_of(site)
        logins = [asyncio.create_task(ask(pools, "POST", "/login/")) for _ in range(MANY)]
        await asyncio.to_thread(wait_until, lambda: site.inside == HASHERS)
        try:
            others = [ask(pools, "POST", "/code/"), ask(pools, "GET", "/login/"), ask(pools, "POST", "/login/code/")]
            assert await asyncio.wait_for(asyncio.gather(*others), 30) == [200] * 3
            assert not any(login.done() for login in logins), "or this test means nothing"
        finally:
            site.go.set()
        assert await asyncio.gather(*logins) == [200] * MANY
        assert site.most == HASHERS, "no more than these hash at once"

    asyncio.run(crowd())


def test_who_would_wait_for_ever_is_told_so() -> None:
    async def crowd() -> None:
        site = Site()
        pools = pools_of(site)
        many = [f"10.0.0.{n % 4}" for n in range(thread_pools.MAX_WAITING)]
        logins = [asyncio.create_task(ask(pools, "POST", "/login/", address=address)) for address in many]
        await asyncio.sleep(0)
        try:
            assert await asyncio.wait_for(ask(pools, "POST", "/login/"), 30) == 503
        finally:
            site.go.set()
        assert set(await asyncio.gather(*logins)) == {200}
        assert await ask(pools, "POST", "/login/") == 200, "only as long as they wait"

    asyncio.run(crowd())


def test_one_address_fills_no_more_than_its_share_of_the_queue() -> None:
    """T-98: whoever floods from one address is told so, and everybody else is served in turn."""

    async def crowd() -> None:
        site = Site()
        pools = pools_of(site)
        flood = [asyncio.create_task(ask(pools, "POST", "/login/")) for _ in range(thread_pools.MAX_WAITING)]
        await asyncio.to_thread(wait_until, lambda: site.inside == HASHERS)
        refused = thread_pools.MAX_WAITING - thread_pools.MAX_WAITING_OF_ADDRESS
        await asyncio.to_thread(wait_until, lambda: sum(task.done() for task in flood) == refused)
        assert {task.result() for task in flood if task.done()} == {503}
        other = asyncio.create_task(ask(pools, "POST", "/login/", address="10.0.0.1"))
        await asyncio.sleep(0)
        # Two places that the flood has, then one for the flood and one for the other.
        for _ in range(4):
            site.pass_one()
        await asyncio.wait_for(other, 30)
        assert other.result() == 200
        assert sum(not task.done() for task in flood) >= thread_pools.MAX_WAITING_OF_ADDRESS - 4, (
            "it did not wait for those"
        )
        site.go.set()
        await asyncio.gather(*flood)

    asyncio.run(crowd())


def test_nothing_is_worked_out_for_whoever_has_left() -> None:
    """T-98: guesses that were sent and hung up on are not hashed, and hold nobody up."""

    async def crowd() -> None:
        site, leaves = Site(), asyncio.Event()
        pools = pools_of(site)
        first = [asyncio.create_task(ask(pools, "POST", "/login/")) for _ in range(HASHERS)]
        await asyncio.to_thread(wait_until, lambda: site.inside == HASHERS)
        gone = [asyncio.create_task(ask(pools, "POST", "/login/", leaves=leaves)) for _ in range(MANY)]
        await asyncio.sleep(0)
        leaves.set()
        assert await asyncio.wait_for(asyncio.gather(*gone), 30) == [0] * MANY
        site.go.set()
        assert await asyncio.gather(*first) == [200] * HASHERS
        assert await ask(pools, "POST", "/login/") == 200
        assert site.served == HASHERS + 1

    asyncio.run(crowd())


def test_what_is_being_worked_on_counts_until_it_is_done() -> None:
    """T-98: whoever hangs up in the middle frees no thread, so the next waits for it all the same."""

    async def crowd() -> None:
        site, leaves = Site(), asyncio.Event()
        pools = pools_of(site)
        gone = [asyncio.create_task(ask(pools, "POST", "/login/", leaves=leaves)) for _ in range(HASHERS)]
        await asyncio.to_thread(wait_until, lambda: site.inside == HASHERS)
        leaves.set()
        assert await asyncio.wait_for(asyncio.gather(*gone), 30) == [0] * HASHERS
        others = [
            asyncio.create_task(ask(pools, "POST", "/login/")) for _ in range(thread_pools.MAX_WAITING_OF_ADDRESS)
        ]
        await asyncio.to_thread(wait_until, lambda: sum(task.done() for task in others) == HASHERS)
        assert [task.result() for task in others if task.done()] == [503] * HASHERS
        site.go.set()
        await asyncio.gather(*others)
        assert site.most == HASHERS

    asyncio.run(crowd())


# --- One request ---


class Tells:
    """A WSGI application that answers with a response of Django's, and keeps what it was asked."""

    def __init__(self, response: HttpResponse | StreamingHttpResponse) -> None:
        """Keep the answer."""
        self.response = response
        self.asked: list[tuple[str, bytes]] = []
        self.closed = threading.Event()
        response.close = self.closed.set  # type: ignore[method-assign]

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """Answer."""
        self.asked.append((environ["CONTENT_LENGTH"], environ["wsgi.input"].read()))
        start_response(f"{self.response.status_code} OK", list(self.response.items()))
        return self.response


def told(application: Any, *pieces: dict[str, Any]) -> list[dict[str, Any]]:
    """Send one request and return what is answered."""
    said: list[dict[str, Any]] = []
    asyncio.run(visit(thread_pools.Pool(application, workers=1), said.append, *pieces))
    return said


def test_a_body_in_pieces_is_whole_and_has_a_length() -> None:
    application = Tells(HttpResponse(b"done"))
    said = told(
        application,
        {"type": "http.request", "body": b"one ", "more_body": True},
        {"type": "http.request", "body": b"two", "more_body": False},
    )
    assert application.asked == [("7", b"one two")]
    assert [event["type"] for event in said] == ["http.response.start", "http.response.body"]
    assert said[1] == {"type": "http.response.body", "body": b"done"}
    assert application.closed.wait(10)


def test_a_body_that_is_too_long_is_not_waited_for() -> None:
    """Under a server that hands it over as it comes, and it may never end."""
    application = Tells(HttpResponse(b"done"))
    piece = {"type": "http.request", "body": b"x" * MAX_BODY, "more_body": True}
    # There is no third piece to take.
    told(application, piece, piece)
    ((length, _body),) = application.asked
    assert int(length) > MAX_BODY


def test_a_request_that_breaks_off_is_not_run() -> None:
    application = Tells(HttpResponse(b"done"))
    said = told(
        application, {"type": "http.request", "body": b"mobile=1391", "more_body": True}, {"type": "http.disconnect"}
    )
    assert (said, application.asked) == ([], [])


def test_what_breaks_around_django_is_raised_where_it_is_answered() -> None:
    def breaks(_environ: Any, _start_response: Any) -> None:
        raise LookupError("around Django")

    with pytest.raises(LookupError, match="around Django"):
        told(breaks)


def test_a_view_that_ends_its_thread_is_answered_for() -> None:
    def ends(_environ: Any, _start_response: Any) -> None:
        raise SystemExit(3)

    with pytest.raises(RuntimeError, match=r"SystemExit\(3\)"):
        told(ends)


def test_a_stream_goes_out_as_it_comes() -> None:
    heard: list[bytes] = []

    def pieces() -> Iterator[bytes]:
        for number in range(50):
            # No piece is made long before the ones ahead of it were taken.
            assert number - len(heard) < 10
            yield b"%d" % number

    application = Tells(StreamingHttpResponse(pieces()))

    def hear(event: dict[str, Any]) -> None:
        if event["type"] == "http.response.body":
            heard.append(event["body"])

    asyncio.run(visit(thread_pools.Pool(application, workers=1), hear))
    assert heard == [*(b"%d" % number for number in range(50)), b""]
    assert application.closed.wait(10)


def test_a_stream_that_breaks_is_not_ended_well() -> None:
    def pieces() -> Iterator[bytes]:
        yield b"one"
        raise LookupError("in the middle")

    said: list[dict[str, Any]] = []
    with pytest.raises(LookupError, match="in the middle"):
        asyncio.run(visit(thread_pools.Pool(Tells(StreamingHttpResponse(pieces())), workers=1), said.append))
    assert said[-1] == {"type": "http.response.body", "body": b"one", "more_body": True}


@pytest.mark.parametrize("ends", ["the visitor", "the server"])
def test_a_thread_that_streams_ends_when_nobody_takes_it(ends: str) -> None:
    """Found by a chaos run: it waited for a loop that had stopped, and Python waited for the thread."""
    begun = threading.Event()

    def pieces() -> Iterator[bytes]:
        while True:
            begun.set()
            yield b"more"

    application = Tells(StreamingHttpResponse(pieces()))
    pooled = thread_pools.Pool(application, workers=1)

    class Left(Exception):
        """The server raises such a thing where it cannot send."""

    def hear(_event: dict[str, Any]) -> None:
        if ends == "the visitor" and begun.is_set():
            raise Left

    loop = asyncio.new_event_loop()
    serving = loop.create_task(visit(pooled, hear))
    try:
        while not begun.is_set():
            # And then the loop stands still.
            loop.run_until_complete(asyncio.wait([serving], timeout=0.1))
        assert application.closed.wait(10), "the thread waits for ever"
    finally:
        serving.cancel()
        loop.run_until_complete(asyncio.gather(serving, return_exceptions=True))
        loop.close()
