"""A visitor without a window: cookies, forms with their token, JSON, and the page's socket."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin


class Person:
    """One browser's worth of state. Programs ask for JSON; `page` and `htmx` ask as a browser does."""

    def __init__(self, url: str, *, language: str = "en", headers: dict[str, str] | None = None) -> None:
        """Take the site's address."""
        self.url = url
        # Nobody speaks TLS here, and reading the certificates takes longer than most tests.
        self.http = httpx.Client(
            base_url=url, headers={"Accept-Language": language, **(headers or {})}, timeout=30, verify=False
        )
        self.sockets: list[Page] = []

    def close(self) -> None:
        """Close what is open."""
        for page in self.sockets:
            page.close()
        self.http.close()

    def get(self, path: str = "/login/", **headers: str) -> httpx.Response:
        """Open a page, as a browser does."""
        return self.http.get(path, headers={"Accept": "text/html", **headers})

    @property
    def token(self) -> str:
        """The CSRF token; a page is opened for it if none was."""
        if "csrftoken" not in self.http.cookies:
            self.get()
        return self.http.cookies["csrftoken"]

    def take_session(self, key: str) -> None:
        """Send this as the session's cookie from now on, in place of one's own."""
        for cookie in self.http.cookies.jar:
            if cookie.name.endswith("sessionid"):
                cookie.value = key

    def post(self, path: str, /, **fields: str) -> httpx.Response:
        """Post a form as a program: the answer is JSON."""
        return self._post(path, fields, {"Accept": "application/json"})

    def htmx(self, path: str, /, **fields: str) -> httpx.Response:
        """Post a form as htmx does: the answer is leaves."""
        return self._post(path, fields, {"HX-Request": "true", "Accept": "*/*"})

    def page(self, path: str, /, **fields: str) -> httpx.Response:
        """Post a form as a browser without JavaScript does: the answer is a page."""
        return self._post(path, {"csrfmiddlewaretoken": self.token, **fields}, {"Accept": "text/html"}, header=False)

    def _post(
        self, path: str, fields: dict[str, str], headers: dict[str, str], *, header: bool = True
    ) -> httpx.Response:
        if header:
            headers = {"X-CSRFToken": self.token, **headers}
        return self.http.post(path, data=fields, headers=headers)

    def ask(self, mobile: str, **fields: str) -> httpx.Response:
        """Ask for a code."""
        return self.post("/code/", mobile=mobile, **fields)

    def enter(self, code: str, **fields: str) -> httpx.Response:
        """Sign in with a code."""
        return self.post("/login/code/", code=code, **fields)

    def login(self, username: str, password: str, **fields: str) -> httpx.Response:
        """Sign in with a password."""
        return self.post("/login/", username=username, password=password, **fields)

    def logout(self) -> httpx.Response:
        """Sign out."""
        return self.post("/logout/")

    @property
    def state(self) -> dict[str, Any]:
        """What the site says of this browser now."""
        answer: dict[str, Any] = (
            self.http.get("/state/", headers={"Accept": "application/json"}).raise_for_status().json()
        )
        return answer

    @property
    def username(self) -> str:
        """Who this browser is signed in as, by asking anew; empty when nobody."""
        found: str = self.state["username"]
        return found

    def open(self, path: str = "/ws/", **headers: str) -> Page:
        """Open a tab's socket with the cookies of now."""
        if not self.http.cookies:
            self.get()
        cookies = "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())
        socket = connect(
            self.url.replace("http", "ws", 1) + path,
            origin=Origin(headers.pop("Origin", self.url)),
            additional_headers={"Cookie": cookies, "Accept-Language": self.http.headers["Accept-Language"], **headers},
            open_timeout=10,
            legacy=True,
        )
        page = Page(socket)
        self.sockets.append(page)
        return page


class Page:
    """One open tab, as its socket fills it: the newest of every leaf, and everything that ever came."""

    def __init__(self, socket: ClientConnection) -> None:
        """Take an open socket."""
        self.socket = socket
        self.frames: list[str] = []
        # By id: the attributes of the leaf's element, and its text under "text".
        self.leaves: dict[str, dict[str, str]] = {}
        # Every distinct (state, attempt) that #delivery has shown, in order.
        self.history: list[tuple[str, int]] = []
        self.closed: int | None = None

    def receive(self, seconds: float = 5.0) -> str | None:
        """Take the next frame, None when none comes in time or the socket is closed."""
        if self.closed is not None:
            return None
        try:
            frame = self.socket.recv(timeout=seconds)
        except TimeoutError:
            return None
        except ConnectionClosed as end:
            self.closed = end.rcvd.code if end.rcvd else 1006
            return None
        assert isinstance(frame, str)
        self.frames.append(frame)
        self._take(frame)
        return frame

    def drain(self, seconds: float) -> list[str]:
        """Take every frame that comes within some seconds, and return them."""
        taken: list[str] = []
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and self.closed is None:
            if frame := self.receive(left):
                taken.append(frame)
        return taken

    def news(self, seconds: float) -> list[str]:
        """Take every frame that comes within some seconds, and return those that show anything but what was shown.

        Some six seconds after it came, a page looks by itself, and is told once more what it shows.
        """
        before = dict(self.leaves)
        frames = self.drain(seconds)
        return [text for text in frames if any(before.get(name) != leaf for name, leaf in leaves(text).items())]

    def wait_for(self, leaf: str, within: float = 10.0, /, **attributes: str) -> dict[str, str]:
        """Wait until a leaf has these data attributes (`state="sent"`), and return all it has."""
        deadline = time.monotonic() + within
        wanted = {f"data-{name}": value for name, value in attributes.items()}
        while True:
            have = self.leaves.get(leaf, {})
            if have and wanted.items() <= have.items():
                return have
            left = deadline - time.monotonic()
            assert self.closed is None, f"closed with {self.closed} before #{leaf} had {attributes}"
            assert left > 0, f"#{leaf} never had {attributes}; it has {have}, closed: {self.closed}"
            self.receive(left)

    def wait_for_close(self, seconds: float = 10.0) -> int:
        """Wait until the server closes the socket, and return its code."""
        self.drain(seconds)
        assert self.closed is not None, f"still open after {seconds} s"
        return self.closed

    def close(self) -> None:
        """Close the tab."""
        self.socket.close()

    def _take(self, frame: str) -> None:
        for leaf in _leaves(frame):
            self.leaves[leaf["id"]] = leaf
            if leaf["id"] == "delivery":
                step = (leaf["data-state"], int(leaf["data-attempt"]))
                if not self.history or self.history[-1] != step:
                    self.history.append(step)


class _Leaves(HTMLParser):
    """Collects every element with an id, and the text inside of it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the element."""
        attributes = {name: value or "" for name, value in attrs}
        if "id" in attributes:
            self.found.append({**attributes, "tag": tag, "text": ""})

    def handle_data(self, data: str) -> None:
        """Add to the last element's text."""
        if self.found:
            text = f"{self.found[-1]['text']} {data}"
            self.found[-1]["text"] = re.sub(r"\s+", " ", text).strip()


def _leaves(html: str) -> list[dict[str, str]]:
    """Return every element of a fragment that has an id."""
    parser = _Leaves()
    parser.feed(html)
    return parser.found


def leaves(html: str) -> dict[str, dict[str, str]]:
    """Return the leaves of a reply by their id."""
    return {leaf["id"]: leaf for leaf in _leaves(html)}
