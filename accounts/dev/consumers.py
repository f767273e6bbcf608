"""The sockets of the dev phone's and the queue self-test's page."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.template.loader import render_to_string

from accounts.consumers import PageConsumer
from tasks import debug
from tasks.gateways import phone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accounts.live.state import Visitor


class PhoneConsumer(PageConsumer):
    """The dev phone's page."""

    rechecks_itself = True
    groups = [phone.GROUP]

    def may_enter(self, visitor: Visitor) -> bool:
        """Let everybody in who develops, and nobody else."""
        return bool(settings.DEBUG and settings.DEV_PHONE)

    def extra(self) -> str:
        context = {"messages": phone.messages(), "switches": phone.switches(), "oob": True}
        return "".join(render_to_string(f"dev/phone.html#{name}", context) for name in ("messages", "mode"))

    async def phone_changed(self, event: Mapping[str, Any]) -> None:
        await self.show("delivery", "countdown")


class QueueConsumer(PageConsumer):
    """The queue's self-test page."""

    rechecks_itself = True
    groups = [debug.GROUP]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Unix time of a push that is not shown yet, 0 when there is none.
        self.pushed_at = 0.0
        # How long the last push was under way.
        self.pushed_ms: int | None = None

    def may_enter(self, visitor: Visitor) -> bool:
        """Let staff in, and under DEBUG everybody."""
        return bool(settings.DEBUG or (visitor.user and visitor.user.is_staff))

    def extra(self) -> str:
        run = debug.current()
        if run is None or not run.done:
            self.pushed_ms = None
        elif self.pushed_at:
            self.pushed_ms = max(0, round((self.pushed_at - run.counted_at) * 1000))
        self.pushed_at = 0.0
        return render_to_string("dev/queue.html#progress", {"test": run, "pushed_ms": self.pushed_ms, "oob": True})

    async def progress_changed(self, event: Mapping[str, Any]) -> None:
        """Show how far the worker has counted."""
        self.pushed_at = time.time()
        await self.show("account")
