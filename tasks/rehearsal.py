"""A rehearsal of what an accepted request for a code does in Redis and in the database. It leaves nothing behind.

A Redis that answers PING may still refuse a request: it is full, read-only, a part of a cluster, or its user may not
run scripts. Only doing it tells.
"""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from project import redis
from project.live.push import published
from tasks.models import Delivery, random_id
from tasks.sms import send_sms_code

# As long as the client waits for any other answer.
SUBSCRIBED_WITHIN_SECONDS = 1
REHEARSE = Path(__file__).with_name("rehearsal.lua").read_text()


def rehearse_redis() -> None:
    """Count, enqueue and publish as a request does, and subscribe as a page does. Raises redis.Unavailable."""
    channel, message = published("rehearsal", "rehearsal")
    keys = [redis.key("rehearsal", "counter"), redis.key("rehearsal", "mark")]
    entry: bytes | str = ""
    if (enqueue := settings.HUEY.queue_entry(send_sms_code.s("rehearsal"))) is not None:
        queue, entry = enqueue
        keys.append(queue)
    with redis.client().pipeline(transaction=True) as pipe:
        pipe.eval(REHEARSE, len(keys), *keys, channel, message, entry)
        pipe.execute()
    with redis.client().pubsub() as subscriber:  # type: ignore[no-untyped-call]
        subscriber.subscribe(channel)
        if subscriber.get_message(timeout=SUBSCRIBED_WITHIN_SECONDS) is None:
            raise redis.Silent("no answer to SUBSCRIBE")


def rehearse_database() -> None:
    """Write a request's row and delete it in the same transaction, which nobody else sees. Raises django.db.Error."""
    row = Delivery(pk=random_id(), resend_at=Now())
    with transaction.atomic():
        row.save(force_insert=True)
        with connection.cursor() as cursor:
            # The ORM would look for attempts first.
            cursor.execute("DELETE FROM tasks_delivery WHERE id = %s", [row.pk])
