"""The cooldown of a number: the accepted request starts it, and only that request can end it early."""

from __future__ import annotations

import logging

from project import keys, outage, redis

logger = logging.getLogger(__name__)


def key(mobile: str) -> str:
    """Return the key of a number's cooldown. It holds a keyed hash of the number, and is the same for every purpose."""
    return redis.key("cooldown", keys.hashed("mobile", mobile))


def all_keys() -> str:
    """Return the pattern of every number's key."""
    return redis.key("cooldown", "*")


def release(mobile: str, delivery_id: str) -> None:
    """End the number's cooldown, if this delivery has started it. Never raises: it ends anyway."""
    try:
        redis.delete_if(key(mobile), delivery_id)
    except redis.Unavailable as error:
        logger.warning("cooldown of %s not released: %s", delivery_id[:8], outage.name(error))
