"""The crowd: people who ask for codes, look at open pages, and type what arrived, whatever fails under them."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING

import httpx
from websockets.exceptions import InvalidHandshake, WebSocketException

from tests.support.person import Person
from tests.tools.chaos.record import Accepted, Guess

if TYPE_CHECKING:
    from tests.support.person import Page
    from tests.tools.chaos.record import Record
    from tests.tools.chaos.site import Site

# What a person meets while a server is killed under them. KeyError: an answer that came without a cookie.
TROUBLE = (httpx.HTTPError, KeyError, OSError)
# Seconds: a person who hears nothing for so long tries the other server.
IMPATIENCE = 8.0


class OpenTab:
    """One open page: it stays open, and comes back by itself when its socket is lost, as the real one does."""

    def __init__(self, name: str, visitor: Visitor, die: random.Random) -> None:
        """Open it, on a thread of its own."""
        self.name, self.visitor, self._die = name, visitor, die
        self.shown: tuple[str, int] | None = None
        self._closed = threading.Event()
        self._page: Page | None = None
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Close the page, without waiting for a server that may be gone."""
        self._closed.set()
        if self._page:
            with contextlib.suppress(OSError, WebSocketException):
                self._page.socket.close_socket()

    def _live(self) -> None:
        refused = 0
        while not self._closed.is_set():
            try:
                self._page = page = self.visitor.person.open()
                refused = 0
                while page.closed is None and not self._closed.is_set():
                    if page.receive(1.0) and (leaf := page.leaves.get("delivery")):
                        self.shown = (leaf["data-state"], int(leaf["data-attempt"]))
                    # Only the newest of every leaf matters here.
                    page.frames.clear()
                page.close()
                self.visitor.person.sockets.remove(page)
            except InvalidHandshake:
                refused += 1
            except (*TROUBLE, WebSocketException, ValueError):
                pass
            if refused >= 3:
                # The session is gone, with an answer that was lost. Whoever sees that for long loads the page again.
                refused = 0
                with contextlib.suppress(*TROUBLE):
                    self.visitor.person.get()
            self.visitor.turn()
            self._closed.wait(self._die.uniform(0.2, 0.8))


class Visitor:
    """One person with a browser, a number and some tabs."""

    def __init__(self, crowd: Crowd, n: int, mobile: str) -> None:
        """Arrive; nothing is opened yet."""
        self.crowd, self.mobile = crowd, mobile
        self.name = f"person {n}"
        self.die = random.Random(f"{crowd.site.plan.seed}.{n}")
        self._ports = crowd.site.stack.ports
        self._at = n % len(self._ports)
        self._turned = 0.0
        self._turning = threading.Lock()
        self.person = Person(self._url)
        self.person.http.timeout = httpx.Timeout(IMPATIENCE)
        self.tabs: list[OpenTab] = []
        # The creation of the row of the last 202, 0 while an unanswered request may have made another.
        self.current = 0.0
        # Requests of this browser that nobody has answered.
        self._unanswered = 0

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self._ports[self._at]}"

    def turn(self) -> None:
        """Go to the other server, as a balancer in front of both would after an error."""
        with self._turning:
            if time.monotonic() - self._turned < 0.3:
                return
            self._turned = time.monotonic()
            self._at = (self._at + 1) % len(self._ports)
            self.person.url = self._url
            self.person.http.base_url = httpx.URL(self._url)

    def live(self) -> None:
        """Ask, look, type, ask again, until the crowd goes home."""
        tabs = self.die.choice([1, 1, 2])
        while not self.tabs and not self.crowd.over():
            try:
                self.person.get().raise_for_status()
                self.tabs = [
                    OpenTab(f"{self.name}, tab {n + 1}", self, random.Random(f"{self.name}.{n}")) for n in range(tabs)
                ]
            except TROUBLE:
                self.turn()
                time.sleep(0.3)
        while not self.crowd.over():
            unanswered = self._unanswered
            # Sometimes from two tabs at the same moment.
            with ThreadPoolExecutor(2) as pool:
                waits = list(pool.map(lambda _n: self.ask(), range(2 if self.die.random() < 0.15 else 1)))
            if self._unanswered > unanswered:
                # Which of the two came last, and with it whose code is open here, is not known.
                self.current = 0.0
            if self.current and self.die.random() < 0.6:
                self.type_code()
            self.crowd.sleep(min(waits) + self.die.uniform(0, 1.0))

    def ask(self) -> float:
        """Ask for a code, write the answer down, and return how long to wait before the next."""
        record = self.crowd.record
        with self.crowd.writing:
            record.asked += 1
        before, self.current = self.current, 0.0
        try:
            answer = self.person.ask(self.mobile)
            body = answer.json()
        except (*TROUBLE, ValueError) as error:
            self.crowd.count(type(error).__name__)
            self._unanswered += 1
            self.turn()
            return 0.5
        self.crowd.count(str(answer.status_code))
        if answer.status_code == 202:
            expires = datetime.fromisoformat(body["expires_at"]).timestamp()
            created_at = expires - self.crowd.site.plan.ttl
            # Of two requests at once both may be accepted, where the first has failed already.
            self.current = max(self.current, created_at)
            with self.crowd.writing:
                record.accepted.append(Accepted(time.time(), f"+86{self.mobile}", created_at))
            return float(self.crowd.site.plan.cooldown)
        if answer.status_code == 429:
            # The older one still holds.
            self.current = max(self.current, before)
        if answer.status_code == 403:
            # A form whose token went with a lost answer: the page is loaded again.
            with contextlib.suppress(*TROUBLE):
                self.person.get()
        return min(float(answer.headers.get("Retry-After", 1)), 4.0)

    def type_code(self) -> None:
        """Wait a moment for the message, and type: wrong, right, in two tabs at once."""
        deadline = time.monotonic() + 2.0
        while not (code := self.crowd.code_for(self.mobile, self.current)):
            if time.monotonic() > deadline or self.crowd.over():
                return
            time.sleep(0.1)
        wrong = self.die.choice([0, 0, 0, 1, 2, 7])
        for _ in range(wrong):
            self.enter(f"{(int(code) + self.die.randrange(1, 10**6)) % 10**6:06}")
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(self.enter, [code] * self.die.choice([1, 1, 2])))

    def enter(self, code: str) -> None:
        """Type a code and write the answer down."""
        created_at, began = self.current, time.time()
        browser = self.crowd.site.browser(self.person.http.cookies.get("sessionid"))
        word, left = "", None
        try:
            body = self.person.enter(code).json()
            word, left = body["code"], body.get("tries_left")
        except (*TROUBLE, ValueError):
            self.turn()
        guess = Guess(began, time.time(), f"+86{self.mobile}", browser, code, word, left, created_at)
        with self.crowd.writing:
            self.crowd.record.guesses.append(guess)


class Crowd:
    """Everybody."""

    def __init__(self, site: Site, record: Record) -> None:
        """Gather in front of a site."""
        self.site, self.record = site, record
        self.writing = threading.Lock()
        self._over = threading.Event()
        plan = site.plan
        die = random.Random(plan.seed)
        start = die.randrange(10**4) * 1000
        numbers = [f"137{start + n:08}" for n in range(plan.people)]
        # One number is shared by two people, who get in each other's way.
        numbers[-1] = numbers[0]
        self.visitors = [Visitor(self, n, mobile) for n, mobile in enumerate(numbers)]
        self._threads = [
            threading.Thread(target=visitor.live, name=visitor.name, daemon=True) for visitor in self.visitors
        ]

    def come(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()
            time.sleep(0.05)

    def stop_asking(self) -> None:
        """Ask nothing more; who waits for an answer waits on, and the pages stay open."""
        self._over.set()

    def is_silent(self) -> bool:
        """Tell whether nobody waits for an answer any more."""
        return not any(thread.is_alive() for thread in self._threads)

    def leave(self) -> None:
        """Close every page."""
        for tab in self.tabs:
            tab.close()
        for visitor in self.visitors:
            with contextlib.suppress(OSError, WebSocketException):
                visitor.person.close()

    @property
    def tabs(self) -> list[OpenTab]:
        """Every open page."""
        return [tab for visitor in self.visitors for tab in visitor.tabs]

    def over(self) -> bool:
        """Tell whether everybody has gone home."""
        return self._over.is_set()

    def sleep(self, seconds: float) -> None:
        """Wait, unless it is time to go."""
        self._over.wait(seconds)

    def count(self, answer: str) -> None:
        """Count an answer."""
        with self.writing:
            self.record.answers[answer] += 1

    def code_for(self, mobile: str, created_at: float) -> str:
        """Return the newest code that a number got after a moment, empty when none came."""
        messages = [sms for provider in self.site.providers for sms in provider.sent]
        mine = [sms for sms in messages if sms.to == mobile and sms.at >= created_at]
        return max(mine, key=lambda sms: sms.at).code if mine else ""
