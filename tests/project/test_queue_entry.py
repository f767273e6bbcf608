"""What we count on in Huey to enqueue a task from a script in Redis, and how its messages are signed."""

from __future__ import annotations

import pickle
import secrets
from typing import TYPE_CHECKING

import pytest
import redis
from huey.serializer import SignedSerializer

from project.broker.graceful import Graceful
from project.broker.serializer import Signed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.stack import Stack

SALT = "latchkey.queue"
MARK: list[str] = []


def note_unpickling(word: str) -> None:
    """Note that something was unpickled."""
    MARK.append(word)


class Trap:
    """Says so when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        """Have the one who unpickles this call something."""
        return note_unpickling, ("unpickled",)


@pytest.fixture
def queue(stack: Stack) -> Iterator[Graceful]:
    """A queue of the test's own in Redis."""
    url = (stack.folder / "valkey" / "url").read_text()
    queue = Graceful(f"test{secrets.token_hex(4)}", url=url, results=False)
    yield queue
    queue.flush()


def test_an_entry_that_a_script_pushes_is_a_task_like_any_other(queue: Graceful, stack: Stack) -> None:
    """Breaks if Huey no longer keeps its queue in a list, taken from the other end, under `queue_key`."""
    ran: list[str] = []

    @queue.task()  # type: ignore[untyped-decorator]
    def note(word: str) -> None:
        ran.append(word)

    note("first, by Huey")
    entry = queue.queue_entry(note.s("second, by a script"))
    assert entry is not None
    key, message = entry
    redis.Redis.from_url((stack.folder / "valkey" / "url").read_text()).lpush(key, message)
    note("third, by Huey")
    assert queue.pending_count() == 3
    for _ in range(3):
        queue.execute(queue.dequeue())
    assert ran == ["first, by Huey", "second, by a script", "third, by Huey"]


def test_a_message_of_a_former_key_is_read_and_new_ones_are_signed_with_the_new_key() -> None:
    old, new = "the old key " * 4, "the new key " * 4
    both = Signed(new, SALT, former=[old])
    assert both.deserialize(Signed(old, SALT).serialize({"id": 1})) == {"id": 1}
    assert Signed(new, SALT).deserialize(both.serialize({"id": 2})) == {"id": 2}
    with pytest.raises(ValueError, match="signature"):
        Signed(old, SALT).deserialize(both.serialize({"id": 2}))


@pytest.mark.parametrize("forge", ["bare", "empty", "short", "another salt", "changed", "sha-1"])
def test_a_message_without_our_signature_is_not_unpickled(forge: str) -> None:
    """T-75."""
    secret = "a key of ours " * 4
    ours = Signed(secret, SALT)
    good = ours.serialize(Trap())
    message, _colon, signature = good.rpartition(b":")
    forged = {
        "bare": pickle.dumps(Trap()),
        "empty": message + b":",
        "short": message + b":" + signature[:-2],
        "another salt": Signed(secret, "huey").serialize(Trap()),
        "changed": message.replace(b"unpickled", b"UNPICKLED") + b":" + signature,
        "sha-1": SignedSerializer(secret, SALT).serialize(Trap()),
    }[forge]
    MARK.clear()
    with pytest.raises(ValueError, match="signature"):
        ours.deserialize(forged)
    assert not MARK
    ours.deserialize(good)
    assert MARK == ["unpickled"], "or this test means nothing"
