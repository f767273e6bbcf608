"""The gate of a number: shut for the cooldown by whoever was accepted, opened early only by the same one."""

from __future__ import annotations

import logging

from project import keys, redis

logger = logging.getLogger(__name__)


def key(mobile: str) -> str:
    """Return the gate's key. The number is in it as a keyed hash only, whatever it is asked for."""
    return redis.key("cooldown", keys.hashed("mobile", mobile))


def give_back(mobile: str, delivery_id: str) -> None:
    """Let the number ask again at once, if this delivery shut its gate. Never raises: the gate opens by itself too."""
    try:
        redis.delete_if(key(mobile), delivery_id)
    except redis.Unavailable as error:
        logger.warning("cooldown of %s not given back: %s", delivery_id[:8], type(error).__name__)
