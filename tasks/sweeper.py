"""The sweeper: a thread in each worker that recovers, once a second, what a kill or a lost message left behind."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress

from django.db import close_old_connections, connection
from huey.contrib.djhuey import HUEY, on_shutdown, on_startup

from project import outage, redis
from tasks.delivery import recovery
from tasks.sms import NotYet, SMSNotSent, send_sms_code

logger = logging.getLogger(__name__)

# Seconds between two rounds.
INTERVAL = 1.0
# The key under which a sweeper writes when it finished a round, in seconds since 1970 by Redis's clock.
SEEN = redis.key("sweeper", "seen")
# How many deliveries one round enqueues, so that a backlog of hours does not flood the queue at once.
BATCH = 200
# How many the sweeper sends in a round when the queue is away: at most a minute's work.
BATCH_ALONE = 10

_stop = threading.Event()
_starting = threading.Lock()
_thread: threading.Thread | None = None


def sweep() -> None:
    """Do one round: close dead attempts, end what is too late, enqueue again what no worker has claimed."""
    recovery.reclaim()
    recovery.expire()
    recovery.release_limits()
    try:
        # With this many messages in the queue the workers are slow; more messages would not help them.
        room = BATCH - HUEY.pending_count()
        send = send_sms_code
    except Exception as error:  # noqa: BLE001  (a broker may raise what it likes)
        # Without a queue this thread does the workers' work, a few at a time.
        logger.warning("the queue is away (%s), so the sweeper sends by itself", outage.name(error))
        room, send = BATCH_ALONE, _send
    for delivery_id in recovery.overdue(room) if room > 0 else []:
        send(delivery_id)


def _send(delivery_id: str) -> None:
    """Make one attempt in this thread. If another is due, the next round makes it."""
    try:
        with suppress(NotYet):
            send_sms_code.call_local(delivery_id)
    except SMSNotSent as error:
        # Huey is not there to report it.
        logger.error("%s", error)


def checkpoint() -> None:
    """Copy SQLite's write-ahead log into the database, as far as no reader needs it (sqlite.org/wal.html, 2.1)."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")


def seen_ago() -> float | None:
    """Return the seconds since a sweeper finished a round, None if none ever did. Raises redis.Unavailable."""
    client = redis.client()
    seen = client.get(SEEN)
    now, _micro = client.time()
    return None if seen is None else max(0.0, float(now) - float(seen))


def run() -> None:
    """Sweep until `stop` is called. A failed round is logged and does not end the thread."""
    while True:
        close_old_connections()
        try:
            sweep()
            checkpoint()
            client = redis.client()
            client.set(SEEN, client.time()[0], ex=3600)
        except Exception as error:  # noqa: BLE001
            # An error of Redis may quote keys.
            text = "" if outage.is_outage(error) else f": {error}"
            logger.warning("this round of the sweeper failed: %s%s", outage.name(error), text)
        if _stop.wait(INTERVAL):
            return


@on_startup()
def start() -> None:
    """Start the thread, once in each process: Huey calls this in each of a worker's threads."""
    global _thread
    with _starting:
        if _thread is None or not _thread.is_alive():
            _stop.clear()
            _thread = threading.Thread(target=run, name="Sweeper", daemon=True)
            _thread.start()


@on_shutdown()
def stop() -> None:
    """Let the thread end after its round."""
    _stop.set()
