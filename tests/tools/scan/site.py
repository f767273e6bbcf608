"""What is scanned: a whole site without DEBUG, behind nginx where there is one. Its provider is a closed door."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Self

from tests.support.stack import Stack
from tests.tools.scan import proxy

if TYPE_CHECKING:
    from pathlib import Path

USERNAME, PASSWORD = "scanned-user", secrets.token_urlsafe(12)


class Site:
    """A site as it stands in the world. `url` is where visitors find it."""

    def __init__(self, folder: Path) -> None:
        """Prepare it."""
        self.proxy = proxy.Proxy(folder / "nginx") if proxy.program() else None
        self.stack = Stack(
            folder / "site",
            DEBUG="0",
            SMS_GATEWAYS="yuntongxun",
            YUNTONGXUN_ACCOUNT_SID="a" * 32,
            YUNTONGXUN_AUTH_TOKEN="b" * 32,
            YUNTONGXUN_APP_ID="c" * 32,
            YUNTONGXUN_RECEIPT_SECRET=secrets.token_hex(16),
            # Nothing listens on port 9: whatever the tools ask for, no SMS leaves this machine.
            YUNTONGXUN_BASE_URL="https://127.0.0.1:9",
            PUBLIC_ORIGIN=self.proxy.origin if self.proxy else "http://127.0.0.1",
            TRUSTED_PROXIES="1" if self.proxy else "0",
        )
        self.url = self.proxy.origin if self.proxy else self.stack.url

    def __enter__(self) -> Self:
        """Start all of it, with one account."""
        self.stack.start()
        try:
            self.stack.user(USERNAME, password=PASSWORD, mobile="+8613800138000")
            if self.proxy:
                self.stack.manage("write_error_pages", str(self.proxy.errors))
                self.proxy.start(self.stack.ports[0])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *problem: object) -> None:
        """Stop all of it."""
        if self.proxy:
            self.proxy.stop()
        self.stack.stop()

    def tracebacks(self) -> list[str]:
        """Return the last line of every traceback in the logs, which is what no visitor may cause."""
        return re.findall(r"^Traceback .*\n(?:[ \t].*\n|\n)*(.*)", self.stack.logs(), re.MULTILINE)

    def statuses(self) -> dict[int, int]:
        """Return how often nginx gave each status."""
        found: dict[int, int] = {}
        if self.proxy and self.proxy.access_log.exists():
            for status in re.findall(r'" ([0-9]{3}) ', self.proxy.access_log.read_text(errors="replace")):
                found[int(status)] = found.get(int(status), 0) + 1
        return found
