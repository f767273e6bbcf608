"""How we talk to Redis: one way to it, one function for every name in it."""

from __future__ import annotations

import ast
import contextvars
from typing import TYPE_CHECKING, Any

import pytest
from django.core.cache import cache
from django_redis import get_redis_connection

from accounts.codes import decision
from project import redis
from project.run import valkey
from tasks import limits
from tasks.models import random_id
from tests.support.stack import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOURCES = [path for app in ("accounts", "home", "project", "tasks") for path in ROOT.joinpath(app).rglob("*.py")]
# What opens a connection or makes a pool, and the only files that do: docs/dependencies.md says why.
OPENS = {"Redis", "StrictRedis", "ConnectionPool", "from_url", "get_redis_connection", "connection_class"}
ALLOWED = {
    ("project/redis.py", "get_redis_connection"),
    ("project/redis.py", "connection_class"),
    ("project/broker/instance.py", "from_url"),
    ("project/checks.py", "from_url"),
    ("project/run/runner.py", "from_url"),
    # Of httpcore, to the providers.
    ("tasks/gateways/http.py", "ConnectionPool"),
}
# Commands whose first argument is a key.
COMMANDS = {"get", "set", "delete", "exists", "incr", "expire", "pttl", "ttl", "zadd", "zrem", "lpush", "publish"}


@pytest.fixture
def server(settings: Any) -> Iterator[Any]:
    """An empty Valkey."""
    valkey.ensure(settings.VAR_DIR)
    redis.client().flushdb()
    yield redis.client()
    redis.client().flushdb()


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Return every call in a file, with the last word of what is called."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield (node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")), node


def test_nothing_else_opens_a_connection() -> None:
    found = {(str(path.relative_to(ROOT)), word) for path in SOURCES for word, _call in calls(path) if word in OPENS}
    assert found == ALLOWED


def test_no_key_is_written_out() -> None:
    """A literal in place of `redis.key` would be shared with every other site in the same Redis."""
    written = []
    for path in SOURCES:
        text = path.read_text()
        if "redis.client()" in text:
            for word, call in calls(path):
                first = call.args[0] if call.args else None
                literal = isinstance(first, ast.JoinedStr) or (
                    isinstance(first, ast.Constant) and isinstance(first.value, str)
                )
                of = ast.unparse(call.func)
                if word in COMMANDS and literal and ("client" in of or of.startswith("pipe.")):
                    written.append(f"{path.relative_to(ROOT)}:{call.lineno} {ast.unparse(call)}")
    assert written == []


def test_the_cache_has_the_same_prefix(server: Any) -> None:
    """Whoever uses Django's cache on their own pages shares it with no other site either."""
    cache.set("theirs", 1)
    assert [key.decode() for key in server.keys("*")] == ["latchkey:1:theirs"]
    assert get_redis_connection("default").connection_pool is redis.client().connection_pool


def test_all_requests_share_one_client() -> None:
    """Each request has a context of its own, and Django keeps a cache's client for each context."""
    assert contextvars.copy_context().run(redis.client) is redis.client()


def question(browser: str = "b" * 32, *, proven: bool = True) -> decision.Question:
    """A request for one number."""
    return decision.Question(
        random_id(),
        mobile="+8613800138000", purpose="login", browser=browser, address="a" * 32, proven=proven, own=False,
    )  # fmt: skip


def written(server: Any) -> dict[str, Any]:
    """Return all that is in Redis."""
    return {key.decode(): server.dump(key) for key in server.scan_iter("*")}


@pytest.mark.parametrize("cooldown", [60, 0])
def test_a_request_whose_answer_was_lost_is_accepted_once(server: Any, settings: Any, cooldown: int) -> None:
    """T-8: asked again with the same id, Redis says the same, and counts it once."""
    settings.SMS_COOLDOWN = cooldown
    settings.SMS_PER_HOUR = 1
    server.set(limits.WARM, 1)
    asked = question()
    assert asked.ask().answer == "ok"
    assert asked.ask().answer == "ok"
    assert server.zcard(asked.counters[0].key) == 1
    assert question().ask().answer == ("cooldown" if cooldown else "limit")


def test_who_is_refused_has_written_nothing(server: Any, settings: Any) -> None:
    """Neither by the cooldown, nor by a limit, nor for want of a proof; not a counter, a task or a push."""
    settings.SMS_PER_HOUR = 1
    server.set(limits.WARM, 1)
    listener = server.pubsub(ignore_subscribe_messages=True)
    listener.psubscribe("*")
    listener.get_message(timeout=5)
    assert question().ask().answer == "ok"
    assert listener.get_message(timeout=5), "or this test means nothing"
    before = written(server)
    assert any(name.startswith("huey.redis.") for name in before), "or this test means nothing"
    assert question(browser="c" * 32).ask().answer == "cooldown"
    assert written(server) == before
    settings.SMS_COOLDOWN = 0
    server.delete(*server.keys("latchkey:cooldown:*"))
    before = written(server)
    assert question(browser="c" * 32).ask().answer == "limit"
    settings.SMS_PER_HOUR, settings.ALTCHA = 10, "always"
    assert question(browser="c" * 32, proven=False).ask().answer == "proof"
    assert written(server) == before
    assert listener.get_message(timeout=0.2) is None
    listener.close()


def test_a_decision_is_one_transaction(server: Any) -> None:
    """One round trip: MULTI, the two scripts, EXEC."""
    server.set(limits.WARM, 1)
    with server.monitor() as monitor:
        question().ask()
        server.echo("that is all")
        heard = []
        while "that is all" not in (said := monitor.next_command())["command"]:
            word = said["command"].split(" ")[0]
            # A connection that is new introduces itself first.
            if said["client_type"] != "lua" and word not in {"HELLO", "CLIENT", "SELECT"}:
                heard.append(word)
    assert heard == ["MULTI", "EVAL", "EVAL", "EXEC"]


def test_a_redis_that_has_lost_its_scripts_decides_all_the_same(server: Any) -> None:
    """A restart, a failover, SCRIPT FLUSH: the request and its task are there, and nobody notices."""
    server.set(limits.WARM, 1)
    server.script_flush()
    asked = question()
    assert asked.ask().answer == "ok"
    (queue,) = server.keys("huey.redis.*")
    assert server.llen(queue) == 1
