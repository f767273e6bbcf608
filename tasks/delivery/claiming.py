"""The right to make one attempt: a worker claims the row of a delivery, or does nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import transaction

from project.live.push import push
from project.sql import Statement, utc
from tasks import decoy
from tasks.delivery.events import CHANGED, group
from tasks.delivery.transitions import MAX_ATTEMPTS, useful_life
from tasks.models import WAITING, Delivery, State, random_id
from tasks.routing import gateway_chain

# Longer than a gateway may take (6 s in all) plus a slow database. A worker with an older lease is presumed dead.
LEASE = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to make one attempt. Its token fences the result: a worker that lost the lease overwrites nothing."""

    delivery: Delivery
    token: str
    gateway: str
    # How long ago the code was requested, by the database's clock: a worker's may be wrong.
    age: timedelta = timedelta()
    # By the monotonic clock of this process.
    claimed: float = field(default_factory=time.monotonic)


class NotWritten(Exception):
    """There is no such row, not yet or never: a worker can be notified a moment before the commit."""


ROW = Statement("SELECT *, {now} AS now FROM tasks_delivery WHERE id = %(id)s")
# `attempts` as it was when the gateway was chosen: a worker that has made one in between chose by its outcome.
CLAIM = Statement("""
    UPDATE tasks_delivery
    SET state = 'sending', attempts = attempts + 1, gateway = %(gateway)s, decoy = %(decoy)s,
        lease_token = %(token)s, lease_until = {now + lease}
    WHERE id = %(id)s AND state IN ('queued', 'retrying')
        AND attempts = %(attempts)s AND attempts < %(max_attempts)s
        AND superseded_at IS NULL AND due_at <= {now} AND created_at > {now - life}
""")
BEGIN = Statement("""
    INSERT INTO tasks_attempt (id, delivery_id, n, gateway, outcome, provider_id, provider_code, detail)
    VALUES (%(token)s, %(delivery_id)s, %(n)s, %(gateway)s, '', '', '', '')
""")


def claim(delivery_id: str) -> Claim | None:
    """Claim the next attempt. Return None if it is not due, too late, over, or claimed by another worker.

    The attempt's row is committed before this returns, so no SMS leaves without a record of it. Raises NotWritten.
    """
    found = ROW.objects(Delivery, id=delivery_id)
    if not found:
        raise NotWritten
    row: Any = found[0]
    age = utc(row.now) - row.created_at
    if row.state not in WAITING:
        return None
    token = random_id()
    # Before the transaction, because it may ask Redis, and another writer may be waiting.
    gateway = gateway_chain.choose(row)
    # The first attempt decides, so a delivery stays of one kind when its number gets or loses an account.
    no_sms = decoy.is_due(row.mobile) if row.attempts == 0 else row.decoy
    with transaction.atomic():
        claimed = CLAIM.run(
            id=delivery_id, attempts=row.attempts, max_attempts=MAX_ATTEMPTS, decoy=no_sms, token=token,
            gateway=gateway, lease=LEASE, life=useful_life(),
        )  # fmt: skip
        if claimed != 1:
            return None
        BEGIN.run(token=token, delivery_id=delivery_id, n=row.attempts + 1, gateway=gateway)
    # As the UPDATE has written it.
    row.state, row.attempts, row.decoy = State.SENDING, row.attempts + 1, no_sms
    row.gateway, row.lease_token = gateway, token
    push(group(row.browser), CHANGED)
    return Claim(row, token, gateway, age)
