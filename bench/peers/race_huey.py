"""The smallest task there is, in Huey: it says how long it was on its way."""

from __future__ import annotations

import os
import time

from huey import RedisHuey
from redis import Redis

huey = RedisHuey(os.environ["QUEUE_NAME"], url=os.environ["REDIS_URL"], results=False)
client = Redis.from_url(os.environ["REDIS_URL"])


@huey.task()  # type: ignore[untyped-decorator]
def arrive(sent: float) -> None:
    """Say it."""
    client.rpush("arrived:huey", time.time() - sent)
