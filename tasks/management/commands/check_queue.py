"""`manage.py check_queue`: tell whether Redis and the broker work, how fast it is, and how many tasks wait."""

from __future__ import annotations

import logging
import secrets
import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from huey.contrib.djhuey import HUEY
from huey.storage import RedisStorage

from project import outage, redis
from tasks import rehearsal

# Seconds after which a message that was taken from us counts as lost.
PATIENCE_SECONDS = 10


class Command(BaseCommand):
    """Sends a message through the broker and takes it back."""

    help = (
        "Send a test message through the broker that BROKER_URL names (without it: Redis), take it back, and say how "
        "long that took and how many tasks wait. It goes through a queue of its own, so it needs no worker and "
        "disturbs none. Then do in Redis what a request for a code does, and undo it. The exit code is 1 when "
        "the message does not come back, or when Redis would refuse a request."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add --count."""
        parser.add_argument("--count", type=int, default=1, help="send so many, one after another (default: 1)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Send messages, take them back, and print how long that took."""
        count = max(1, options["count"])
        # The error below says what is wrong; the connection would say it again.
        logging.getLogger("project.broker").setLevel(logging.CRITICAL)
        storage = HUEY.storage
        scratch = self._scratch(storage)
        try:
            # The first round connects, which is not to be measured.
            self._there_and_back(scratch)
            took = sorted(self._there_and_back(scratch) for _ in range(count))
            waiting = storage.queue_size()
            dead = f", {storage.dead_size()} dead" if settings.BROKER_URL else ""
            if settings.BROKER_URL:
                scratch.delete_queue()
            self._rehearse()
        except CommandError:
            raise
        except Exception as error:  # noqa: BLE001  (a broker may raise what it likes)
            # Neither our own error nor Redis's holds a password: they name the host and what went wrong.
            raise CommandError(f"{self._name()} does not work: {error or type(error).__name__}") from None
        finally:
            scratch.close()
        times = f"in {took[-1]:.1f} ms" if count == 1 else f"{count} times in {took[0]:.1f} to {took[-1]:.1f} ms"
        self.stdout.write(f"{self._name()} works: there and back {times}.")
        self.stdout.write(f"Queue {storage.name}: {waiting} waiting{dead}.")

    def _rehearse(self) -> None:
        """Do in Redis what a request for a code does."""
        try:
            rehearsal.rehearse_redis()
        except redis.Unavailable as error:
            raise CommandError(f"Redis refuses what a request for a code needs: {outage.name(error)}") from None

    def _scratch(self, storage: Any) -> Any:
        """Return a queue of the command's own beside the real one."""
        name = f"{storage.name}check{secrets.token_hex(4)}"
        if settings.BROKER_URL:
            return type(storage)(name, address=storage.address, scratch=True, connection_pool=storage.pool)
        scratch = RedisStorage(name, connection_pool=storage.pool)
        # It ends as the site's own do: a user of Redis may have rights to those only.
        scratch.queue_key = f"huey.check{secrets.token_hex(4)}.{storage.name}"
        return scratch

    def _there_and_back(self, scratch: Any) -> float:
        """Send a message, take it, and return how many milliseconds that took."""
        sent = secrets.token_bytes(16)
        began = time.monotonic()
        scratch.enqueue(sent)
        while (taken := scratch.dequeue()) is None:
            if time.monotonic() - began > PATIENCE_SECONDS:
                raise CommandError(f"{self._name()} has taken a message and not given it back in {PATIENCE_SECONDS} s.")
        took = (time.monotonic() - began) * 1000
        if taken != sent:
            raise CommandError(f"{self._name()} gave back another message than it was given.")
        return took

    def _name(self) -> str:
        """Return the broker's name and address, without the password."""
        return f"RabbitMQ at {HUEY.storage.address}" if settings.BROKER_URL else "Redis"
