"""What these exact versions of Django, Huey, Channels and Redis do when they are left alone, and that we did not."""

from __future__ import annotations

import json
import pickle
import re
import signal
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis
from channels.layers import get_channel_layer
from django.conf import settings
from huey.exceptions import HueyException
from huey.serializer import SignedSerializer

from accounts.sessions import hashed
from project.broker.graceful import Graceful
from project.broker.serializer import Signed
from project.redis import client
from tasks.sms import send_sms_code
from tests.support.numbers import number
from tests.support.stack import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.stack import Stack


@contextmanager
def resting(stack: Stack) -> Iterator[None]:
    """Let the worker sleep, so that what is queued stays where it can be looked at."""
    # The second bell of an earlier test's delivery, say.
    wait_until(lambda: raw(stack).llen(queue(stack)) == 0)
    stack.hang(stack.workers[0])
    try:
        # A read that was under way when it fell asleep still takes one message; it ends within a second.
        wait_until(lambda: not [one for one in stack.redis.client_list() if "b" in one["flags"]], 5)
        yield
    finally:
        stack.workers[0].signal(signal.SIGCONT)


def queue(stack: Stack) -> str:
    """Return the key of the site's queue."""
    return f"huey.redis.{stack.settings['QUEUE_NAME']}"


def raw(stack: Stack) -> Any:
    """Return a client that leaves bytes as they are."""
    return redis.Redis.from_url((stack.folder / "valkey" / "url").read_text())


def bells(stack: Stack) -> tuple[str, list[bytes]]:
    """Return the newest delivery's id, and what lies in the queue: it rings twice, if its row was long in coming."""
    delivery: str = stack.deliveries()[-1]["id"]
    found: list[bytes] = raw(stack).lrange(queue(stack), 0, -1)
    assert len(found) in {1, 2}
    assert all(delivery.encode() in message for message in found)
    return delivery, found


# --- The queue ---


def test_the_queue_is_never_immediate(stack: Stack) -> None:
    """T-88, H-9: given as a dict, `immediate` follows DEBUG, and the visitor waits for it all. This site has DEBUG."""
    assert settings.HUEY.immediate is False
    mobile = number()
    with resting(stack):
        assert stack.person().ask(mobile).json()["state"] == "queued"
        assert bells(stack)
        assert stack.deliveries()[-1]["state"] == "queued"
    stack.phone.code_for(mobile)


def test_a_message_in_the_queue_holds_an_id_and_nothing_else(stack: Stack) -> None:
    """T-24, H-8."""
    mobile = number()
    with resting(stack):
        stack.person().ask(mobile)
        delivery, messages = bells(stack)
    code = stack.phone.code_for(mobile)
    serializer = Signed(secret=stack.settings["SECRET_KEY"], salt="latchkey.queue")
    for message in messages:
        assert mobile.encode() not in message
        assert code.encode() not in message
        said = serializer.deserialize(message)
        assert (said.name, said.args, said.kwargs) == ("tasks.sms.send_sms_code", (delivery,), {})
        assert (said.retries, said.retry_delay) == (3, 5)


class Explosion:
    """A pickle that writes a file where it is unpacked."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(self.path),)


def test_a_stranger_in_redis_does_not_get_into_the_worker(stack: Stack, tmp_path: Path) -> None:
    """T-75, H-7: with plain pickle, whoever can write to Redis runs code in the worker. And the worker lives on."""
    mark = tmp_path / "was here"
    pickle.loads(pickle.dumps(Explosion(mark)))
    assert mark.exists(), "or this test means nothing"
    mark.unlink()
    bombs = [
        pickle.dumps(Explosion(mark)),
        Signed(secret="another secret altogether", salt="latchkey.queue").serialize(Explosion(mark)),
        Signed(secret=stack.settings["SECRET_KEY"], salt="another salt").serialize(Explosion(mark)),
        SignedSerializer(secret=stack.settings["SECRET_KEY"], salt="latchkey.queue").serialize(Explosion(mark)),
        b"",
        b"nonsense",
        b"\x80" * 1000,
        json.dumps({"a": 1}).encode(),
    ]
    with resting(stack):
        for bomb in bombs:
            raw(stack).lpush(queue(stack), bomb)
    mobile = number()
    person = stack.person()
    person.ask(mobile)
    assert person.enter(stack.phone.code_for(mobile)).status_code == 200
    wait_until(lambda: raw(stack).llen(queue(stack)) == 0)
    assert not mark.exists()


def test_a_serializer_with_another_key_is_refused() -> None:
    """T-75."""
    good = Signed(secret="one", salt="latchkey.queue").serialize("x")
    with pytest.raises((HueyException, ValueError)):
        settings.HUEY.serializer.deserialize(good)
    assert isinstance(settings.HUEY.serializer, Signed)


def test_a_message_that_comes_again_sends_nothing(stack: Stack) -> None:
    """T-75, H-7: a signature does not stop a replay. The row does."""
    mobile = number()
    with resting(stack):
        stack.person().ask(mobile)
        _delivery, (message, *_twice) = bells(stack)
        for _ in range(20):
            raw(stack).lpush(queue(stack), message)
    stack.phone.code_for(mobile)
    for _ in range(5):
        raw(stack).lpush(queue(stack), message)
    wait_until(lambda: raw(stack).llen(queue(stack)) == 0)
    last = number()
    stack.person().ask(last)
    stack.phone.code_for(last)
    assert len([message for message in stack.phone.messages if message.to == f"+86{mobile}"]) == 1

    def row() -> dict[str, Any]:
        return next(row for row in stack.deliveries() if row["mobile"] == f"+86{mobile}")

    # The handset has it a moment before the row says so.
    wait_until(lambda: row()["state"] != "sending")
    assert (row()["state"], row()["attempts"]) == ("sent", 1)


@pytest.mark.parametrize("by", ["task", "id", "kind"])
def test_a_site_s_own_task_that_was_revoked_does_not_run(stack: Stack, by: str) -> None:
    queue = Graceful(f"revoked-{by}-{number()}", url=(stack.folder / "valkey" / "url").read_text())
    ran: list[str] = []

    @queue.task()  # type: ignore[untyped-decorator]
    def report(day: str) -> None:
        ran.append(day)

    waiting = report("monday")
    if by == "task":
        waiting.revoke()
    elif by == "id":
        queue.revoke_by_id(waiting.id)
    else:
        report.revoke()
    queue.execute(queue.dequeue())
    assert ran == []
    if by == "kind":
        report.restore()
    report("tuesday")
    queue.execute(queue.dequeue())
    assert ran == ["tuesday"], "or this test means nothing"
    # What is revoked is kept until it would have run, and is no result.
    queue.flush()


def test_a_doorbell_for_nothing_is_no_trouble(stack: Stack) -> None:
    serializer = Signed(secret=stack.settings["SECRET_KEY"], salt="latchkey.queue")
    before = len(stack.logs())
    for word in ("", "f" * 32, "' OR 1=1 --", "\x00", "x" * 5000):
        task = send_sms_code.s(word)
        raw(stack).lpush(queue(stack), serializer.serialize(settings.HUEY._registry.create_message(task)))
    wait_until(lambda: raw(stack).llen(queue(stack)) == 0)
    mobile = number()
    stack.person().ask(mobile)
    stack.phone.code_for(mobile)
    assert "Traceback" not in stack.logs()[before:]


def test_no_result_of_a_task_is_kept(stack: Stack) -> None:
    """H-8: Huey keeps results and exceptions without an end."""
    person, mobile = stack.person(), number()
    person.page("/dev/phone/", mode="fail_times", times="1")
    person.ask(mobile)
    stack.wait_for_state("retrying")
    stack.phone.code_for(mobile)
    stack.wait_for_state("sent")
    assert not list(raw(stack).scan_iter("huey.results*"))
    assert not [key for key in raw(stack).scan_iter("huey.*") if raw(stack).type(key) == b"hash"]


# --- Pushes ---


def test_a_push_goes_where_the_layer_listens(stack: Stack) -> None:
    """We publish by ourselves, by the name that the pub/sub layer subscribes to. A push says that, and not what."""
    before = set(raw(stack).pubsub_channels("*__group__browser.*"))
    person, mobile = stack.person(), number()
    page = person.open()
    page.wait_for("connection", state="live")
    (channel,) = set(raw(stack).pubsub_channels("*__group__browser.*")) - before
    layer = get_channel_layer()
    assert channel.decode().startswith(f"{settings.KEY_PREFIX}__group__browser.")

    listener = raw(stack).pubsub(ignore_subscribe_messages=True)
    listener.subscribe(channel)
    person.ask(mobile)
    page.wait_for("delivery", state="sent")
    heard: list[dict[str, Any]] = []
    # The first "message" is the subscription itself, of which nothing is said.
    while (message := listener.get_message(timeout=0.5)) or not heard:
        if message:
            heard.append(layer.deserialize(message["data"]))
    listener.close()
    assert heard
    assert all(event.keys() == {"type"} for event in heard), heard
    assert [event["type"] for event in heard][:2] == ["delivery.accepted", "delivery.changed"]


def test_the_layer_is_the_one_without_a_limit() -> None:
    """The core layer drops the newest messages when 100 wait, and with redis-py 8 closes each idle socket after 5 s."""
    assert settings.CHANNEL_LAYERS["default"]["BACKEND"] == "channels_redis.pubsub.RedisPubSubChannelLayer"


def test_an_idle_socket_stays_open(stack: Stack) -> None:
    """C-1: with the core layer it is closed with 1011 after 5.2 s."""
    page = stack.person().open()
    page.wait_for("connection", state="live")
    assert page.drain(5.6) == []
    # From six seconds on a page looks by itself, and is told once more what it shows.
    page.drain(1)
    assert page.closed is None


# --- Sessions ---


def test_sessions_live_in_the_database(stack: Stack) -> None:
    """A cached session can come back from the dead after a logout."""
    assert settings.SESSION_ENGINE == "accounts.sessions"
    assert settings.SESSION_SAVE_EVERY_REQUEST is False
    person, mobile = stack.person(), number()
    person.ask(mobile)
    person.enter(stack.phone.code_for(mobile))
    key = person.http.cookies["sessionid"]
    assert len(stack.rows("SELECT 1 FROM django_session WHERE session_key = ?", hashed(key))) == 1
    assert not [name for name in raw(stack).scan_iter("*") if key.encode() in name or b"session" in name]


def test_a_request_that_outlives_a_logout_brings_nobody_back(stack: Stack) -> None:
    """T-42: a slow request that has read the session before the logout saves nothing after it."""
    person, mobile = stack.person(), number()
    person.ask(mobile)
    person.enter(stack.phone.code_for(mobile))
    key = person.http.cookies["sessionid"]
    tab = stack.person()
    tab.http.cookies.update(person.http.cookies)
    assert tab.username
    person.logout()
    for path in ("/", "/login/", "/state/"):
        tab.get(path)
        tab.http.cookies.set("sessionid", key)
        assert (
            tab.http.get("/state/", headers={"Accept": "application/json", "Cookie": f"sessionid={key}"}).json()[
                "username"
            ]
            == ""
        )
    assert stack.rows("SELECT 1 FROM django_session WHERE session_key = ?", hashed(key)) == []


# --- Redis ---


def test_a_redis_that_fails_is_not_taken_for_one_that_says_no() -> None:
    """T-67: django-redis can swallow errors, and then a limiter fails open."""
    assert not getattr(settings, "DJANGO_REDIS_IGNORE_EXCEPTIONS", False)
    options: Any = settings.CACHES["default"]["OPTIONS"]
    assert not options.get("IGNORE_EXCEPTIONS", False)
    assert "JSON" in options["SERIALIZER"], "the default unpickles what it finds"


def test_no_client_repeats_a_command_by_itself() -> None:
    """T-8, H-12: redis-py 8 repeats ten times; a repeated SET NX says no to the one who holds the key."""
    for pool in (client().connection_pool, settings.HUEY.storage.pool):
        connection: Any = pool.make_connection()
        assert connection.retry.get_retries() == 0
        assert 0 < connection.socket_timeout <= 5
        assert 0 < connection.socket_connect_timeout <= 1


def test_a_redis_that_hangs_holds_nobody_for_long(stack: Stack) -> None:
    """T-65, C-8: pages and sign-in go on; a code is refused, and nothing comes later by surprise."""
    person, mobile = stack.person(), number()
    assert person.token
    before = len(stack.deliveries())
    stack.signal_valkey(signal.SIGSTOP)
    try:
        started = time.monotonic()
        answer = person.ask(mobile)
        waited = time.monotonic() - started
        page = person.get("/login/")
        out = person.logout()
    finally:
        stack.signal_valkey(signal.SIGCONT)
    assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
    assert int(answer.headers["Retry-After"]) >= 1
    assert waited < 15, "the client's own time-outs, not the operating system's"
    assert (page.status_code, out.status_code) == (200, 200)
    wait_until(lambda: stack.get("/readyz").status_code == 200, 20)
    assert len(stack.deliveries()) == before
    assert person.ask(mobile).status_code in {202, 429}


# --- Django ---


def test_the_nonce_of_the_policy_reaches_the_templates(stack: Stack) -> None:
    """django-csp and django-htmx call it by different names. Every script of a page has it, and each page another."""
    seen = set()
    for path in ("/", "/login/", "/dev/phone/"):
        answer = stack.person().get(path)
        (nonce,) = re.findall(r"'nonce-([^']+)'", answer.headers["Content-Security-Policy"])
        scripts = re.findall("<script[^>]*>", answer.text)
        assert scripts
        assert all(f'nonce="{nonce}"' in script for script in scripts)
        seen.add(nonce)
    assert len(seen) == 3


def test_a_dead_page_of_debug_does_not_replace_ours(stack: Stack) -> None:
    """Under DEBUG, django-htmx's own tag adds a script that replaces the whole document on an error."""
    html = stack.person().get("/").text
    assert re.search(r"/static/page\.[0-9a-f]{12}\.js", html), "or this test means nothing: htmx is in it"
    assert "django-htmx.js" not in html
    assert "data-debug" not in html
