"""The Redis client of web and worker, and the names of all keys. Its time-outs are short: a visitor waits for it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import redis
from django.conf import settings
from django_redis import get_redis_connection

if TYPE_CHECKING:
    from redis import Redis

# What redis-py raises when the server is away, hung, full or read-only.
Unavailable = redis.RedisError
# The connection broke, and the command may have been carried out. It can be sent again at once.
Lost = redis.ConnectionError
# No answer in time: the server may hang, so nothing is sent again.
Silent = redis.TimeoutError


# Somebody else may have set the key meanwhile: compare and delete in one step, or their value is deleted.
DELETE_IF = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


def key(*parts: str) -> str:
    """Return the name of a key of this site: several sites can share one database, each under its own KEY_PREFIX."""
    return ":".join((settings.KEY_PREFIX, *parts))


def client() -> Redis:
    """Return a client of django-redis's pool. It never repeats a command by itself.

    After a `SET NX` whose reply was lost, a repetition would answer no to the one who holds the key.
    """
    return _client(settings.REDIS_URL)


@cache
def _client(_url: str) -> Redis:
    """Return one client for all threads.

    Django keeps a cache's client for each context, so each request would make one, in a circle of some thirty objects.
    """
    made: Redis = get_redis_connection("default")
    return made


def connection() -> Any:
    """Return a new connection with the pool's settings, outside the pool. It connects with the first command."""
    pool = client().connection_pool
    return pool.connection_class(**pool.connection_kwargs)


def delete_if(key: str, value: str) -> None:
    """Delete a key if it still holds this value. Raises Unavailable."""
    client().eval(DELETE_IF, 1, key, value)
