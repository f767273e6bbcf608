"""The same task in Celery, over Redis as well, its results ignored."""

from __future__ import annotations

import os
import time

from celery import Celery
from redis import Redis

app = Celery("race", broker=os.environ["REDIS_URL"])
app.conf.update(task_ignore_result=True, task_default_queue=os.environ["QUEUE_NAME"])
client = Redis.from_url(os.environ["REDIS_URL"])


@app.task  # type: ignore[untyped-decorator]
def arrive(sent: float) -> None:
    """Say it."""
    client.rpush("arrived:celery", time.time() - sent)
