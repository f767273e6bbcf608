"""All that a site has written down, to look for what must not be there."""

from __future__ import annotations

import base64
import itertools
import zlib
from typing import TYPE_CHECKING, Any

import redis

if TYPE_CHECKING:
    from tests.support.stack import Stack


def everything_in_redis(stack: Stack) -> list[str]:
    """Return every key and every value, whatever its type."""
    client: Any = redis.Redis.from_url((stack.folder / "valkey" / "url").read_text())
    found: list[Any] = []
    for key in client.scan_iter():
        found.append(key)
        match str(client.type(key), "ascii"):
            case "string":
                found.append(client.get(key))
            case "hash":
                found += itertools.chain(*client.hgetall(key).items())
            case "list":
                found += client.lrange(key, 0, -1)
            case "zset":
                found += client.zrange(key, 0, -1)
            case "set":
                found += client.smembers(key)
            case "none":
                # It ended in this instant, as a queue does that a worker has emptied.
                continue
            case other:
                raise AssertionError(f"look into {other} as well")
    return [item.decode("latin-1") for item in found if item]


def everything_in_the_database(stack: Stack) -> list[str]:
    """Return every cell of every table but its times; sessions are unpacked."""
    found: list[str] = []
    for table in stack.rows("SELECT name FROM sqlite_master WHERE type = 'table'"):
        for row in stack.rows(f'SELECT * FROM "{table["name"]}"'):
            found += [str(value) for name, value in row.items() if value is not None and not name.endswith("_at")]
            if "session_data" in row:
                packed = row["session_data"].removeprefix(".").split(":")[0]
                plain = base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4))
                found.append((zlib.decompress(plain) if row["session_data"][0] == "." else plain).decode())
    return found
