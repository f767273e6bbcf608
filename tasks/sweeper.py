"""The sweeper: a thread in each worker that mends, once a second, what a kill or a lost doorbell left behind."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress

from django.db import close_old_connections, connection
from huey.contrib.djhuey import HUEY, on_shutdown, on_startup

from project import redis
from tasks.delivery import recovery
from tasks.sms import NotYet, SMSNotSent, send_sms_code

logger = logging.getLogger(__name__)

# Seconds between two rounds.
INTERVAL = 1.0
# When a sweeper was last seen, in Redis's own seconds since 1970; readiness reads it.
SEEN = "sweeper:seen"
# How many doorbells one round rings, so that a backlog of hours does not flood the queue at once.
BATCH = 200
# How many it sends by itself in a round when there is no queue: at most a minute's work.
BATCH_ALONE = 10

_stop = threading.Event()
_starting = threading.Lock()
_thread: threading.Thread | None = None


def sweep() -> None:
    """Do one round: close dead attempts, end what is too late, ring again for what nobody came for."""
    recovery.reclaim()
    recovery.expire()
    recovery.release_limits()
    try:
        # With this many bells in the queue the workers are slow, not deaf: more bells would not help them.
        room = BATCH - HUEY.pending_count()
        send = send_sms_code
    except Exception as error:  # noqa: BLE001  (a broker may raise what it likes)
        # No queue, no bells: then this thread does the workers' work, a few at a time.
        logger.warning("the queue is away (%s), so the sweeper sends by itself", type(error).__name__)
        room, send = BATCH_ALONE, _send
    for delivery_id in recovery.overdue(room) if room > 0 else []:
        send(delivery_id)


def _send(delivery_id: str) -> None:
    """Make one attempt here and now. If another is due, the next round sees it."""
    try:
        with suppress(NotYet):
            send_sms_code.call_local(delivery_id)
    except SMSNotSent as error:
        # Huey is not there to report it.
        logger.error("%s", error)


def checkpoint() -> None:
    """Carry SQLite's log over into its file, as far as nobody reads the old one (sqlite.org/wal.html, 2.1)."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")


def seen_ago() -> float | None:
    """Return the seconds since any sweeper finished a round, None if never. Raises redis.Unavailable."""
    client = redis.client()
    seen = client.get(SEEN)
    now, _micro = client.time()
    return None if seen is None else max(0.0, float(now) - float(seen))


def run() -> None:
    """Sweep until told to stop. One bad round is logged and does not end the thread."""
    while True:
        close_old_connections()
        try:
            sweep()
            checkpoint()
            client = redis.client()
            client.set(SEEN, client.time()[0], ex=3600)
        except Exception as error:  # noqa: BLE001
            logger.warning("this round of the sweeper failed: %s: %s", type(error).__name__, error)
        if _stop.wait(INTERVAL):
            return


@on_startup()
def start() -> None:
    """Start the thread, once a process: Huey calls this in each of its workers."""
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
