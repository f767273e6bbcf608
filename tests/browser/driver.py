"""Other engines than Chromium, by the protocol that each brings itself: W3C WebDriver, and Firefox's Marionette.

    with webkit(folder) as window:
        window.go("http://127.0.0.1:8000/login/")
        window.type("#mobile", "13800138000")
        window.click(".ask button")
        window.wait_for("#delivery[data-state=sent]")

Both speak of the same commands; only the wire differs. Clicks and keys are real ones.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import httpx

from tests.support.services import missing
from tests.support.stack import free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Seconds a page may take on a busy machine.
PATIENCE = 40.0
# The name under which WebDriver hands elements about.
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Failed(Exception):
    """The browser said no; what it said is in here."""


class Wire:
    """How a command comes to the browser."""

    def ask(self, method: str, path: str, marionette: str, body: dict[str, Any]) -> Any:
        """Carry out a command: by its method and path in WebDriver, by its name in Marionette."""
        raise NotImplementedError


class WebDriver(Wire):
    """Over HTTP, as the standard says."""

    def __init__(self, port: int, capabilities: dict[str, Any]) -> None:
        """Open a session with the driver at a port."""
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE)
        made = self._send("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
        self.session = f"/session/{made['sessionId']}"

    def ask(self, method: str, path: str, marionette: str, body: dict[str, Any]) -> Any:
        """Carry out a command."""
        return self._send(method, self.session + path, body)

    def _send(self, method: str, path: str, body: dict[str, Any]) -> Any:
        answer = self.http.request(method, path, json=body if method == "POST" else None)
        value = answer.json()["value"]
        if answer.status_code != 200:
            raise Failed(value.get("error"), value.get("message"))
        return value


class Marionette(Wire):
    """Over a socket, in frames of JSON: `12:[0,1,"name",{}]`."""

    def __init__(self, port: int) -> None:
        """Open a session with the Firefox at a port."""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.stream = self.socket.makefile("rb")
        # It introduces itself first.
        self._receive()
        self.number = 0
        self.ask("", "", "WebDriver:NewSession", {})

    def ask(self, method: str, path: str, marionette: str, body: dict[str, Any]) -> Any:
        """Carry out a command."""
        self.number += 1
        frame = json.dumps([0, self.number, marionette, body]).encode()
        self.socket.sendall(b"%d:%s" % (len(frame), frame))
        _kind, _number, error, result = self._receive()
        if error:
            raise Failed(error.get("error"), error.get("message"))
        # An answer that is one value stands under that name.
        return result["value"] if isinstance(result, dict) and set(result) == {"value"} else result

    def _receive(self) -> Any:
        size = b""
        while (byte := self.stream.read(1)) != b":":
            if not byte:
                raise OSError("Firefox has hung up")
            size += byte
        return json.loads(self.stream.read(int(size)))


class Window:
    """One browser with its tabs, and what a person does in the one that is in front."""

    def __init__(self, wire: Wire) -> None:
        """Take a session that is open."""
        self.wire = wire

    def go(self, url: str) -> None:
        """Open an address."""
        self.wire.ask("POST", "/url", "WebDriver:Navigate", {"url": url})

    @property
    def url(self) -> str:
        """Where it is."""
        found: str = self.wire.ask("GET", "/url", "WebDriver:GetCurrentURL", {})
        return found

    @property
    def tab(self) -> str:
        """The tab in front, for `to`."""
        found: str = self.wire.ask("GET", "/window", "WebDriver:GetWindowHandle", {})
        return found

    def open_tab(self) -> str:
        """Open another tab and bring it to the front."""
        made = self.wire.ask("POST", "/window/new", "WebDriver:NewWindow", {"type": "tab"})
        self.to(made["handle"])
        return str(made["handle"])

    def to(self, tab: str) -> None:
        """Bring a tab to the front."""
        self.wire.ask("POST", "/window", "WebDriver:SwitchToWindow", {"handle": tab})

    def type(self, selector: str, text: str) -> None:
        """Type into a field."""
        element = self._find(selector)
        self.wire.ask("POST", f"/element/{element}/value", "WebDriver:ElementSendKeys", {"id": element, "text": text})

    def click(self, selector: str) -> None:
        """Click on something."""
        element = self._find(selector)
        self.wire.ask("POST", f"/element/{element}/click", "WebDriver:ElementClick", {"id": element})

    def evaluate(self, script: str, *arguments: Any) -> Any:
        """Ask the page; a function's body, past its policy as all WebDriver scripts are."""
        body = {"script": script, "args": list(arguments)}
        return self.wire.ask("POST", "/execute/sync", "WebDriver:ExecuteScript", body)

    def text(self, selector: str) -> str:
        """Return what an element says."""
        found: str = self.evaluate("return document.querySelector(arguments[0])?.textContent.trim() ?? ''", selector)
        return found

    def wait_for(self, selector: str) -> None:
        """Wait until there is such an element."""
        there = "return Boolean(document.querySelector(arguments[0]))"
        wait_until(lambda: self._calmly(there, selector), PATIENCE, f"no {selector} at {self.url}")

    def wait_for_url(self, url: str) -> None:
        """Wait until it is there."""
        wait_until(lambda: self.url == url, PATIENCE, f"it never went to {url}")

    def close(self) -> None:
        """End the session."""
        with contextlib.suppress(Failed, httpx.HTTPError, OSError):
            self.wire.ask("DELETE", "", "Marionette:Quit", {"flags": ["eForceQuit"]})

    def _find(self, selector: str) -> str:
        self.wait_for(selector)
        body = {"using": "css selector", "value": selector}
        found: dict[str, str] = self.wire.ask("POST", "/element", "WebDriver:FindElement", body)
        return found[ELEMENT]

    def _calmly(self, script: str, *arguments: Any) -> Any:
        # A page that is just being left has nobody to ask.
        try:
            return self.evaluate(script, *arguments)
        except Failed:
            return None


@contextlib.contextmanager
def running(command: list[str], log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program while the block does."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def firefox(folder: Path) -> Iterator[Window]:
    """Open a Firefox with a profile of its own, or skip the test."""
    binary = shutil.which("firefox-esr") or shutil.which("firefox")
    if not binary:
        missing("there is no Firefox", "Debian: apt-get install firefox-esr")
    port = free_port()
    profile = folder / "profile"
    profile.mkdir()
    preferences = {
        "marionette.port": port,
        "intl.accept_languages": "en-US",
        # It asks nobody anything.
        "app.update.enabled": False,
        "browser.aboutwelcome.enabled": False,
        "browser.shell.checkDefaultBrowser": False,
        "browser.startup.page": 0,
        "datareporting.policy.dataSubmissionEnabled": False,
        "network.captive-portal-service.enabled": False,
        "network.connectivity-service.enabled": False,
        "services.settings.server": "http://127.0.0.1:9/",
    }
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in preferences.items()]
    profile.joinpath("user.js").write_text("".join(lines))
    command = [binary, "--marionette", "--headless", "--no-remote", "--profile", str(profile)]
    with running(command, folder / "firefox.log", HOME=str(folder)):
        _listens(port)
        window = Window(Marionette(port))
        try:
            yield window
        finally:
            window.close()


@contextlib.contextmanager
def webkit(folder: Path) -> Iterator[Window]:
    """Open WebKitGTK's MiniBrowser on a screen that nobody sees, or skip the test."""
    for program, package in (("WebKitWebDriver", "webkit2gtk-driver"), ("Xvfb", "xvfb")):
        if not shutil.which(program):
            missing(f"there is no {program}", f"Debian: apt-get install {package}")
    port = free_port()
    # -displayfd: it takes the first screen that is free, and says which.
    end, start = os.pipe()
    with (folder / "xvfb.log").open("wb") as log:
        screen = subprocess.Popen(
            ["Xvfb", "-displayfd", str(start), "-screen", "0", "1280x900x24", "-nolisten", "tcp"],
            pass_fds=[start], stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    os.close(start)
    try:
        with os.fdopen(end) as said:
            display = f":{said.readline().strip()}"
        options = {"LIBGL_ALWAYS_SOFTWARE": "1", "WEBKIT_DISABLE_COMPOSITING_MODE": "1", "HOME": str(folder)}
        with running(
            ["WebKitWebDriver", f"--port={port}"],
            folder / "webkit.log", DISPLAY=display, LANG="C.UTF-8", GDK_BACKEND="x11", **options,
        ):  # fmt: skip
            _listens(port)
            window = Window(WebDriver(port, {"browserName": "MiniBrowser"}))
            try:
                yield window
            finally:
                window.close()
    finally:
        screen.terminate()
        screen.wait()


def _listens(port: int) -> None:
    """Wait until somebody listens there."""

    def look() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False

    wait_until(look, PATIENCE, f"nobody listens at {port}")
    # Firefox takes connections a moment before it speaks.
    time.sleep(0.2)
