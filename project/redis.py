"""The one Redis client of this process, for scripts and pushes. Its time-outs are short: a visitor waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis
from django.conf import settings
from django_redis import get_redis_connection

if TYPE_CHECKING:
    from redis import Redis

# What redis-py raises when the server is away, hung, full or read-only.
Unavailable = redis.RedisError
# The connection broke: whether the command was done is not known. A time-out is no such case: the server may be hung.
Lost = redis.ConnectionError
Silent = redis.TimeoutError


# The key may have been set anew by somebody else meanwhile. Compare and delete in one step, or it is theirs that goes.
DELETE_IF = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


def key(*parts: str) -> str:
    """Return the name of a key of this site: several sites can share one database, each under its own KEY_PREFIX."""
    return ":".join((settings.KEY_PREFIX, *parts))


def client() -> Redis:
    """Return the client of django-redis's pool. It never repeats a command by itself.

    A repeated `SET NX` whose first reply was lost says no to the one who holds the key.
    """
    connection: Redis = get_redis_connection("default")
    return connection


def connection() -> Any:
    """Return a connection of one's own, beside the pool's. It connects when the first command is sent."""
    pool = client().connection_pool
    return pool.connection_class(**pool.connection_kwargs)


def delete_if(key: str, value: str) -> None:
    """Delete a key if it still holds this value. Raises Unavailable."""
    client().eval(DELETE_IF, 1, key, value)
