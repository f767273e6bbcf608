"""Pushes from views and workers to open pages: a group's name and a fact, no content.

A push is a hint: it may be lost, and it never fails the one who sends it.
"""

from __future__ import annotations

import logging

from channels.layers import get_channel_layer
from django.conf import settings
from django.http import HttpResponse

from project import redis

logger = logging.getLogger(__name__)


def push(group: str, event: str, **facts: float) -> None:
    """Tell every socket of a group what has happened, such as `delivery.changed`. Never raises.

    The channel layer's own `group_send` needs an event loop and, from a worker's thread, opens a
    new connection for each call. The pub/sub layer's message is one PUBLISH, so that is what we send.
    A test holds that this is what the layer listens for.
    """
    try:
        redis.client().publish(*published(group, event, **facts))
    except redis.Unavailable as error:
        logger.warning("push of %s was not sent: %s", event, type(error).__name__)


def published(group: str, event: str, **facts: float) -> tuple[str, bytes]:
    """Return the channel and the message that `push` publishes, for a script that publishes them itself."""
    message: bytes = get_channel_layer().serialize({"type": event, "group": group, **facts})
    return f"{settings.LAYER_PREFIX}__group__{group}", message


def push_after(response: HttpResponse, group: str, event: str) -> HttpResponse:
    """Push once this answer has left, and return it: before that, pages would come back with their old cookies."""
    close = response.close

    def close_and_push() -> None:
        close()
        push(group, event)

    response.close = close_and_push  # type: ignore[method-assign]
    return response
