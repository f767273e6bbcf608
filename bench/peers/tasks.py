"""The peers' queue: Huey in Redis, and a provider that takes every message at once."""

from __future__ import annotations

import os

from huey import RedisHuey

huey = RedisHuey(os.environ["QUEUE_NAME"], url=os.environ["REDIS_URL"], results=False)


@huey.task(retries=3, retry_delay=5)  # type: ignore[untyped-decorator]
def send_sms(mobile: str, code: str) -> None:
    """Send the code. Here the provider takes no time."""
