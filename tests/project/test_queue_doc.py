"""The two scripts in docs/queue.md do what the page says of them, as a learner runs them."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from typing import TYPE_CHECKING

import pika
import pytest

from tests.support import services
from tests.support.stack import ROOT, Part, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Lines of code that one of them may have: a learner reads it at one glance.
GLANCE = 14


class Lesson:
    """The page's scripts in a folder, with a queue of their own."""

    def __init__(self, folder: Path) -> None:
        """Take the scripts out of the page."""
        self.folder = folder
        self.url = services.rabbitmq()
        self.queue = f"test{secrets.token_hex(4)}"
        self.environment = {"PATH": os.environ["PATH"], "BROKER_URL": self.url, "QUEUE": self.queue}
        self.consumers: list[Part] = []
        page = (ROOT / "docs" / "queue.md").read_text()
        for name, script in re.findall(r"`(\w+\.py)` [^\n]*:\n\n```python\n(.*?)```", page, re.DOTALL):
            (folder / name).write_text(script)

    def produce(self, *words: str) -> str:
        """Run the producer and return what it prints."""
        done = subprocess.run(
            [sys.executable, "producer.py", *words],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=30, check=True,
        )  # fmt: skip
        return done.stdout

    def consume(self) -> Part:
        """Start a consumer."""
        name = f"consumer{len(self.consumers)}"
        command = [sys.executable, str(self.folder / "consumer.py")]
        part = Part(name, command, self.environment, self.folder / f"{name}.log")
        self.consumers.append(part)
        part.start()
        return part

    def end(self) -> None:
        """Stop the consumers and remove the queue."""
        for part in self.consumers:
            part.kill()
        with pika.BlockingConnection(pika.URLParameters(self.url)) as connection:
            connection.channel().queue_delete(self.queue)


@pytest.fixture
def lesson(tmp_path: Path) -> Iterator[Lesson]:
    """The page's two scripts."""
    lesson = Lesson(tmp_path)
    yield lesson
    lesson.end()


def test_a_learner_reads_each_script_at_a_glance(tmp_path: Path) -> None:
    Lesson(tmp_path)
    scripts = sorted(tmp_path.glob("*.py"))
    assert [script.name for script in scripts] == ["consumer.py", "producer.py"]
    for script in scripts:
        code = [
            line for line in script.read_text().splitlines()
            if line and not line.startswith("import") and not line.lstrip().startswith("#")
        ]  # fmt: skip
        assert len(code) <= GLANCE, script.name


def test_words_wait_for_a_consumer_and_are_taken_in_order(lesson: Lesson) -> None:
    assert lesson.produce("one", "two") == "sent: one\nsent: two\n"
    consumer = lesson.consume()
    wait_until(lambda: "ends: two" in consumer.text(), 30)
    assert consumer.text().splitlines() == ["begins: one", "ends: one", "begins: two", "ends: two"]


def test_two_consumers_share_the_work_and_one_takes_over_what_a_killed_one_held(lesson: Lesson) -> None:
    first, second = lesson.consume(), lesson.consume()
    lesson.produce("one", "two")
    wait_until(lambda: "ends" in first.text() and "ends" in second.text(), 30, "one of them has nothing to do")
    lesson.produce("three")
    (holder,) = wait_until(lambda: [part for part in (first, second) if "begins: three" in part.text()], 30)
    holder.kill()
    assert "ends: three" not in holder.text(), "or this test means nothing"
    (other,) = {first, second} - {holder}
    wait_until(lambda: "ends: three" in other.text(), 30, "nobody takes over")
