"""The queue in RabbitMQ: what it promises while all is well, and that nothing is lost or doubled while it is not.

Every site here reaches RabbitMQ through a proxy of ours, so that it can hang, vanish or break off for this site alone.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from functools import partial
from operator import contains
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pika
import pytest
from pika.exceptions import ChannelClosedByBroker
from redis import ConnectionPool

from project.broker.address import Address
from project.broker.connection import STABLE
from project.broker.errors import Away
from project.broker.queues import DELIVERY_LIMIT, MAX_DEAD_MESSAGES
from project.broker.rabbit_huey import RabbitStorage
from project.broker.serializer import Signed
from tasks.delivery import LEASE
from tests.support import services
from tests.support.faultproxy import FaultProxy
from tests.support.numbers import number
from tests.support.provider import Provider
from tests.support.stack import ROOT, Stack, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Seconds that a visitor may wait for RabbitMQ, with what a busy machine adds.
PATIENCE = 2.0 + 1.5
# Seconds in which a site is itself again after RabbitMQ is.
HEALING = 20.0


class Broker:
    """RabbitMQ as its operator sees it, without a proxy in between."""

    def __init__(self) -> None:
        """Skip the test when there is none."""
        self.url = services.rabbitmq()
        address = Address.parse(self.url)
        assert address is not None
        self.address = address

    def behind(self, proxy: FaultProxy, password: str = "") -> str:
        """Return the URL that leads through a proxy."""
        user = f"{self.address.user}:{password or self.address.password}"
        return f"amqp://{user}@127.0.0.1:{proxy.port}/{'' if self.address.vhost == '/' else self.address.vhost}"

    @contextlib.contextmanager
    def channel(self) -> Iterator[Any]:
        """Open a channel for a moment."""
        connection = pika.BlockingConnection(pika.URLParameters(self.url))
        try:
            yield connection.channel()
        finally:
            connection.close()

    def ready(self, queue: str) -> int:
        """Return how many messages wait, without those that are at a worker."""
        with self.channel() as channel:
            waiting: int = channel.queue_declare(queue, passive=True).method.message_count
            return waiting

    def takers(self, queue: str) -> int:
        """Return to how many RabbitMQ gives what comes: for a moment, also to the dead."""
        with self.channel() as channel:
            taking: int = channel.queue_declare(queue, passive=True).method.consumer_count
            return taking

    def publish(self, queue: str, body: bytes) -> None:
        """Put anything into a queue."""
        with self.channel() as channel:
            channel.basic_publish("", queue, body)

    def delete(self, *queues: str) -> None:
        """Remove queues, if they are there."""
        with self.channel() as channel:
            for queue in queues:
                channel.queue_delete(queue)


@pytest.fixture(scope="module")
def broker() -> Broker:
    """The machine's RabbitMQ."""
    return Broker()


@pytest.fixture(scope="module")
def proxy(broker: Broker) -> Iterator[FaultProxy]:
    """What stands between RabbitMQ and the site."""
    with FaultProxy(broker.address.host, broker.address.port, at=free_port()) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def gateway() -> Iterator[Provider]:
    """The provider of the site."""
    with Provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def site(
    broker: Broker, proxy: FaultProxy, gateway: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A site whose queue is in RabbitMQ."""
    folder = tmp_path_factory.mktemp("rabbitmq")
    stack = Stack(folder, provider=gateway, SMS_COOLDOWN="0", BROKER_URL=broker.behind(proxy))
    try:
        with stack:
            yield stack
    finally:
        broker.delete(queue_of(stack), f"{queue_of(stack)}.dead")


@pytest.fixture
def storage(broker: Broker, proxy: FaultProxy) -> Iterator[RabbitStorage]:
    """The queue alone, in this process, under a name of the test's own."""
    # Redis is never asked by what is tested here.
    address = replace(broker.address, host="127.0.0.1", port=proxy.port)
    storage = RabbitStorage(f"test{secrets.token_hex(4)}", address=address, connection_pool=ConnectionPool())
    yield storage
    proxy.heal()
    storage.close()
    broker.delete(storage.name, f"{storage.name}.dead")


@pytest.fixture(autouse=True)
def heal(proxy: FaultProxy, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Leave the site to the next test as it was found, and look for faults that mended themselves."""
    yield
    proxy.heal()
    assert "error on the connection" not in caplog.text
    if "site" in request.fixturenames:
        site: Stack = request.getfixturevalue("site")
        for part in site.workers:
            if part.process is None or part.process.poll() is not None:
                part.start()
        wait_until(lambda: site.get("/readyz").status_code == 200, HEALING * 2, "the site does not recover")
        assert "error on the connection" not in site.logs()


def queue_of(site: Stack) -> str:
    """Return the name of a site's queue."""
    return site.settings["QUEUE_NAME"]


def delivery_of(site: Stack, mobile: str) -> dict[str, Any]:
    """Return the one delivery to a number."""
    (row,) = [row for row in site.deliveries() if row["mobile"] == f"+86{mobile}"]
    return row


def wait_for_state(site: Stack, mobile: str, state: str, seconds: float = HEALING) -> None:
    """Wait until the delivery to a number has come so far."""
    wait_until(lambda: delivery_of(site, mobile)["state"] == state, seconds, f"the delivery did not become {state}")


def sent_to(gateway: Provider, mobile: str) -> int:
    """Return how many SMS a number has received."""
    return sum(1 for sms in gateway.sent if sms.to == mobile)


def ask(site: Stack, mobile: str) -> float:
    """Ask for a code, which must be accepted, and return the seconds that this took."""
    person = site.person()
    person.get()
    began = time.monotonic()
    answer = person.ask(mobile)
    assert answer.status_code == 202, answer.text
    return time.monotonic() - began


def timed(call: Callable[[], object]) -> float:
    """Return the seconds that a call takes which must fail."""
    began = time.monotonic()
    with pytest.raises(Away):
        call()
    return time.monotonic() - began


def ticks(pid: int) -> int:
    """Return the processor time that a process has used, in hundredths of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 100 // os.sysconf("SC_CLK_TCK")


# --- While all is well ---


def test_a_code_travels_through_rabbitmq(site: Stack, broker: Broker, gateway: Provider) -> None:
    mobile, person = number(), site.person()
    assert person.ask(mobile).status_code == 202
    wait_for_state(site, mobile, "sent")
    assert person.enter(site.phone.code_for(mobile)).status_code == 200
    assert sent_to(gateway, mobile) == 1
    assert site.redis.keys("huey.redis.*") == [], "Redis has no queue"
    wait_until(lambda: broker.ready(queue_of(site)) == 0)


def test_the_queue_survives_a_restart_of_rabbitmq_and_the_loss_of_a_node(site: Stack, broker: Broker) -> None:
    queue, dead = queue_of(site), f"{queue_of(site)}.dead"
    kept = {"x-max-length": MAX_DEAD_MESSAGES}
    work = {
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead,
    }
    # RabbitMQ itself tells what a queue is, by refusing it as something else.
    for name, arguments in ((queue, work), (dead, kept)):
        with broker.channel() as channel:
            channel.queue_declare(name, durable=True, arguments={**arguments, "x-queue-type": "quorum"})
        with (
            broker.channel() as channel,
            pytest.raises(ChannelClosedByBroker, match="'classic' but current is 'quorum'"),
        ):
            channel.queue_declare(name, durable=True, arguments={**arguments, "x-queue-type": "classic"})
        with broker.channel() as channel, pytest.raises(ChannelClosedByBroker, match="'false' but current is 'true'"):
            channel.queue_declare(name, durable=False, arguments={**arguments, "x-queue-type": "quorum"})


def test_a_message_is_kept_on_disk_and_is_signed_and_tells_nothing(
    site: Stack, broker: Broker, gateway: Provider
) -> None:
    """T-24, T-75."""
    site.workers[0].kill()
    wait_until(lambda: broker.takers(queue_of(site)) == 0, HEALING, "RabbitMQ does not notice the worker's end")
    mobile = number()
    ask(site, mobile)
    wait_until(lambda: broker.ready(queue_of(site)) == 1, HEALING, "there is not just the one message")
    with broker.channel() as channel:
        _method, properties, body = channel.basic_get(queue_of(site))
    assert properties.delivery_mode == 2
    row = delivery_of(site, mobile)
    message = Signed(secret=site.settings["SECRET_KEY"], salt="latchkey.queue").deserialize(body)
    assert message.args == (row["id"],), "the id is all it says"
    with pytest.raises(ValueError, match=r"[Ss]ignature"):
        Signed(secret="another key " * 3, salt="latchkey.queue").deserialize(body)
    site.workers[0].start()
    wait_for_state(site, mobile, "sent")
    code = site.phone.code_for(mobile)
    assert code.encode() not in body
    assert mobile.encode() not in body


def test_an_idle_worker_rests(site: Stack, proxy: FaultProxy, make_stack: Callable[..., Stack]) -> None:
    other = make_stack()
    time.sleep(2)
    seconds = 6
    before = [ticks(stack.workers[0].pid) for stack in (site, other)]
    moved = proxy.sent + proxy.received
    time.sleep(seconds)
    rabbit, redis = (ticks(stack.workers[0].pid) - was for stack, was in zip((site, other), before, strict=True))
    moved = proxy.sent + proxy.received - moved
    print(f"{seconds} s idle: {rabbit} hundredths of a second with RabbitMQ, {redis} with Redis; {moved} bytes")  # noqa: T201
    assert rabbit <= 2 * redis + 10
    # The sweeper asks for the length once a second, and there are heartbeats.
    assert moved < seconds * 2000


# --- Workers that end ---


def test_what_a_killed_worker_held_comes_back_and_sends_nothing_twice(
    site: Stack, broker: Broker, gateway: Provider
) -> None:
    """T-68."""
    gateway.script("accept_then_hang")
    mobile = number()
    ask(site, mobile)
    wait_until(lambda: sent_to(gateway, mobile) == 1, HEALING)
    wait_until(lambda: broker.ready(queue_of(site)) == 0, 3, "the worker holds it, or this test means nothing")
    site.workers[0].kill()
    wait_until(lambda: broker.ready(queue_of(site)) == 1, HEALING, "the message did not come back")
    site.workers[0].start()
    wait_until(lambda: broker.ready(queue_of(site)) == 0, HEALING, "the message was not taken again")
    # When the lease is over the sweeper takes it up; the provider knows the repeat by its reference.
    wait_for_state(site, mobile, "sent", 40)
    row = delivery_of(site, mobile)
    first, second = (
        datetime.fromisoformat(attempt["started_at"])
        for attempt in site.attempts()
        if attempt["delivery_id"] == row["id"]
    )
    assert second - first >= LEASE, "who came with the message that was given back found the lease and left"
    assert sent_to(gateway, mobile) == 1


def test_a_worker_that_is_asked_to_end_leaves_nothing_that_comes_back(
    site: Stack, broker: Broker, gateway: Provider
) -> None:
    gateway.script("accept_then_hang")
    mobile = number()
    ask(site, mobile)
    wait_until(lambda: sent_to(gateway, mobile) == 1, HEALING)
    site.workers[0].signal(signal.SIGTERM)
    process = site.workers[0].process
    assert process is not None
    assert process.wait(30) == 0
    assert delivery_of(site, mobile)["state"] == "retrying", "the task has ended, and the retry is in the schedule"
    wait_until(lambda: broker.takers(queue_of(site)) == 0, HEALING, "RabbitMQ does not notice the worker's end")
    assert broker.ready(queue_of(site)) == 0
    site.workers[0].start()
    wait_for_state(site, mobile, "sent")
    assert sent_to(gateway, mobile) == 1


def test_a_message_that_nobody_can_read_is_set_aside(site: Stack, broker: Broker) -> None:
    """T-75."""
    dead = f"{queue_of(site)}.dead"
    before = broker.ready(dead)
    broker.publish(queue_of(site), b"not ours")
    wait_until(lambda: broker.ready(dead) == before + 1, HEALING)
    assert f"{before + 1} dead" in site.manage("check_queue")
    mobile = number()
    ask(site, mobile)
    wait_for_state(site, mobile, "sent")


def test_a_message_that_kills_its_worker_does_not_come_back_for_ever(storage: RabbitStorage) -> None:
    """T-75."""
    storage.enqueue(b"poison")
    for _ in range(DELIVERY_LIMIT + 1):
        assert wait_until(storage.dequeue) == b"poison"
        # As a death does: what was held is given back.
        storage.close()
    assert wait_until(storage.dead_size) == 1
    assert storage.queue_size() == 0
    assert storage.dequeue() is None


# --- RabbitMQ that is not there ---


def test_a_visitor_does_not_wait_for_a_hung_rabbitmq(site: Stack, proxy: FaultProxy, gateway: Provider) -> None:
    mobiles = [number() for _ in range(3)]
    usual = ask(site, number())
    proxy.hang()
    assert ask(site, mobiles[0]) < PATIENCE + usual
    wait_until(lambda: site.get("/readyz").json()["reason"] == "broker", HEALING)
    time.sleep(3)
    # It is known by now.
    assert ask(site, mobiles[1]) < 1 + usual
    assert ask(site, mobiles[2]) < 1 + usual
    # The sweeper needs no queue.
    for mobile in mobiles:
        wait_for_state(site, mobile, "sent")
    proxy.heal()
    wait_until(lambda: rings(site), HEALING, "the bell does not ring again")
    assert [sent_to(gateway, mobile) for mobile in mobiles] == [1, 1, 1]


def test_what_is_asked_for_while_rabbitmq_is_away_is_sent(
    site: Stack, broker: Broker, proxy: FaultProxy, gateway: Provider
) -> None:
    """T-8."""
    published, taken = (
        part.text().count(f"is back ({role})")
        for part, role in ((site.webs[0], "publishes"), (site.workers[0], "takes"))
    )
    proxy.away()
    wait_until(lambda: site.get("/readyz").json()["reason"] == "broker", HEALING)
    assert site.get("/healthz").status_code == 200
    mobile = number()
    assert ask(site, mobile) < PATIENCE
    wait_for_state(site, mobile, "sent")
    proxy.heal()
    healed = time.monotonic()
    wait_until(lambda: rings(site), HEALING, "the bell does not ring again")
    print(f"rings again {time.monotonic() - healed:.1f} s after a refusal")  # noqa: T201
    assert sent_to(gateway, mobile) == 1
    wait_until(lambda: site.webs[0].text().count("is back (publishes)") > published, HEALING)
    wait_until(
        lambda: site.workers[0].text().count("is back (takes)") > taken, HEALING, "the worker does not take again"
    )
    # Who takes may come back after who publishes: what was rung meanwhile waits that long.
    wait_until(lambda: broker.ready(queue_of(site)) == 0, HEALING, "the worker is back and takes nothing")


def test_what_is_asked_for_while_nobody_works_waits_until_somebody_does(
    site: Stack, proxy: FaultProxy, gateway: Provider
) -> None:
    site.workers[0].kill()
    mobile = number()
    proxy.away()
    assert ask(site, mobile) < PATIENCE
    assert delivery_of(site, mobile)["state"] == "queued"
    proxy.heal()
    site.workers[0].start()
    wait_for_state(site, mobile, "sent")
    assert sent_to(gateway, mobile) == 1


def rings(site: Stack) -> bool:
    """Ask for a code and tell whether the queue's bell was rung for it."""
    unrung = site.webs[0].text().count("is not enqueued yet")
    ask(site, number())
    return site.webs[0].text().count("is not enqueued yet") == unrung


def test_a_broken_connection_is_mended_before_anybody_notices(site: Stack, proxy: FaultProxy) -> None:
    ask(site, number())
    unrung = site.webs[0].text().count("is not enqueued yet")
    time.sleep(STABLE + 0.5)
    proxy.reset()
    mobile = number()
    assert ask(site, mobile) < PATIENCE
    wait_for_state(site, mobile, "sent")
    assert site.webs[0].text().count("is not enqueued yet") == unrung


def test_a_bell_rung_twice_because_the_confirm_was_lost_sends_one_sms(
    site: Stack, proxy: FaultProxy, gateway: Provider
) -> None:
    """T-8."""
    dropped = proxy.dropped
    time.sleep(STABLE + 0.5)
    proxy.drop_reply(b"send_sms_code")
    mobile = number()
    ask(site, mobile)
    assert proxy.dropped == dropped + 1, "or this test means nothing"
    wait_for_state(site, mobile, "sent")
    time.sleep(3)
    assert sent_to(gateway, mobile) == 1


def test_a_deleted_queue_is_made_again(site: Stack, broker: Broker) -> None:
    time.sleep(STABLE + 0.5)
    broker.delete(queue_of(site))
    mobile = number()
    ask(site, mobile)
    wait_for_state(site, mobile, "sent")


def test_who_takes_hears_that_a_queue_is_gone_before_there_is_another(storage: RabbitStorage, broker: Broker) -> None:
    """Or RabbitMQ keeps them at the new queue, and gives them nothing."""
    got: set[bytes | None] = set()
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            got.add(storage.dequeue())
        storage.cancel()

    with ThreadPoolExecutor() as threads:
        threads.submit(work)
        try:
            storage.enqueue(b"before")
            for body in (b"one", b"two"):
                time.sleep(STABLE + 0.5)
                broker.delete(storage.name)
                storage.enqueue(body)
                wait_until(partial(contains, got, body), HEALING, "nobody hears of the message")
        finally:
            done.set()


def test_a_task_ends_well_although_its_connection_broke(site: Stack, proxy: FaultProxy, gateway: Provider) -> None:
    logged = len(site.workers[0].text())
    gateway.script("accept_then_hang")
    mobile = number()
    ask(site, mobile)
    wait_until(lambda: sent_to(gateway, mobile) == 1, HEALING)
    proxy.reset()
    wait_for_state(site, mobile, "retrying")
    assert delivery_of(site, mobile)["attempts"] == 1, "the message came back and found the lease"
    wait_for_state(site, mobile, "sent")
    assert sent_to(gateway, mobile) == 1
    assert "Traceback" not in site.workers[0].text()[logged:]
    again = number()
    ask(site, again)
    wait_for_state(site, again, "sent")


def test_who_publishes_is_never_held_longer_than_two_seconds(storage: RabbitStorage, proxy: FaultProxy) -> None:
    storage.enqueue(b"one")
    proxy.hang()
    assert timed(lambda: storage.enqueue(b"two")) < PATIENCE
    # The first to try a new connection waits for that, and then it is known.
    assert timed(lambda: storage.enqueue(b"three")) < PATIENCE
    time.sleep(2)
    assert timed(lambda: storage.enqueue(b"four")) < 0.5
    assert timed(storage.queue_size) < 0.5
    proxy.heal()
    wait_until(lambda: _takes(storage), HEALING, "the connection does not come back")
    # Without an answer nobody knows, so the second may be there; nothing is there that was given up before it was sent.
    taken: set[bytes | None] = set()
    until = time.monotonic() + HEALING
    # The first looks may be over before there is a connection to take from.
    while not {b"one", b"five"} <= taken and time.monotonic() < until:
        taken.add(storage.dequeue())
    taken |= {storage.dequeue() for _ in range(3)}
    assert {b"one", b"five"} <= taken <= {b"one", b"two", b"five", None}


def test_a_rabbitmq_short_of_memory_is_not_waited_for(
    storage: RabbitStorage, proxy: FaultProxy, caplog: pytest.LogCaptureFixture
) -> None:
    storage.enqueue(b"one")
    # What it sends when an alarm goes off: Connection.Blocked with a reason, and Connection.Unblocked.
    why = b"low on memory"
    payload = struct.pack(">HHB", 10, 60, len(why)) + why
    proxy.say(struct.pack(">BHI", 1, 0, len(payload)) + payload + b"\xce")
    wait_until(lambda: "takes nothing: low on memory" in caplog.text)
    with pytest.raises(Away, match="takes nothing: low on memory"):
        storage.enqueue(b"two")
    assert timed(lambda: storage.enqueue(b"two")) < 0.5
    proxy.say(struct.pack(">BHIHH", 1, 0, 4, 10, 61) + b"\xce")
    wait_until(lambda: "takes messages again" in caplog.text)
    storage.enqueue(b"three")
    # The first look may be over before there is a connection to take from.
    assert wait_until(storage.dequeue) == b"one"
    assert wait_until(storage.dequeue) == b"three"
    assert storage.dequeue() is None


def _takes(storage: RabbitStorage) -> bool:
    try:
        storage.enqueue(b"five")
    except Away:
        return False
    return True


# --- Operators ---


def test_a_wrong_password_is_said_and_not_shown(site: Stack, broker: Broker, proxy: FaultProxy) -> None:
    password = f"Pw{secrets.token_hex(8)}"
    parts = [site.workers[0], site.webs[0]]
    for part in parts:
        part.kill()
        part.environment["BROKER_URL"] = broker.behind(proxy, password)
        part.start()
    try:
        site.wait_for_web()
        mobile = number()
        ask(site, mobile)
        wait_until(lambda: all("ACCESS_REFUSED" in part.text() for part in parts), HEALING)
        assert site.get("/readyz").json()["reason"] == "broker"
        assert site.get("/readyz").text.count(password) == 0
        said = failed(site, "check_queue", BROKER_URL=broker.behind(proxy, password))
    finally:
        for part in parts:
            part.kill()
            part.environment["BROKER_URL"] = broker.behind(proxy)
            part.start()
    assert "ACCESS_REFUSED" in said
    assert password not in said + site.logs()
    wait_for_state(site, mobile, "sent")


def failed(site: Stack, *words: str, **settings: str) -> str:
    """Run manage.py, which must fail, and return what it says."""
    done = subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT, env={**site.environment, **settings}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_an_operator_is_told_how_fast_the_broker_is(site: Stack, make_stack: Callable[..., Stack]) -> None:
    said = site.manage("check_queue", "--count", "5")
    assert re.search(
        r"^RabbitMQ at 127\.0\.0\.1:\d+ works: there and back 5 times in [\d.]+ to [\d.]+ ms\.$", said, re.MULTILINE
    )
    assert re.search(rf"^Queue {queue_of(site)}: \d+ waiting, \d+ dead\.$", said, re.MULTILINE)
    other = make_stack()
    said = other.manage("check_queue")
    assert re.search(r"^Redis works: there and back in [\d.]+ ms\.$", said, re.MULTILINE)
    assert re.search(rf"^Queue {queue_of(other)}: \d+ waiting\.$", said, re.MULTILINE)


def test_an_operator_is_told_in_one_line_that_the_broker_is_away(site: Stack, proxy: FaultProxy) -> None:
    proxy.away()
    said = failed(site, "check_queue")
    assert re.fullmatch(r"CommandError: RabbitMQ at 127\.0\.0\.1:\d+ does not work: Connection refused\n", said)
    said = failed(site, "check_queue", BROKER_URL="", REDIS_URL=f"redis://127.0.0.1:{proxy.port}/0")
    assert re.fullmatch(r"CommandError: Redis does not work: [^\n]*refused\.\n", said)


def test_a_classic_queue_of_the_same_name_is_refused_with_advice(broker: Broker, site: Stack) -> None:
    queue = f"test{secrets.token_hex(4)}"
    with broker.channel() as channel:
        channel.queue_declare(queue, durable=True)
    try:
        said = failed(site, "check_queue", QUEUE_NAME=queue)
    finally:
        broker.delete(queue, f"{queue}.dead")
    assert "must be a quorum queue" in said
    assert "QUEUE_NAME" in said


@pytest.mark.parametrize(
    "url", ["amqp://latchkey:s3/cret@host:5672/", "redis://:s3cret@host", "amqp://", "amqp://l:s3cret@host:port/",
            "amqp://l:s3cret@host/?heartbeat=5"],
)  # fmt: skip
def test_a_wrong_address_stops_the_start(site: Stack, url: str) -> None:
    said = failed(site, "check", BROKER_URL=url)
    assert "BROKER_URL is not an address of RabbitMQ. Write BROKER_URL=amqp://" in said
    assert "cret" not in said
