"""The self-test of the queue: how far it counts is entered on its page, and the worker logs each step."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.stack import wait_until

if TYPE_CHECKING:
    from tests.support.stack import Stack

PATH = "/dev/queue/"


def test_the_operator_says_how_far_it_counts_and_the_log_shows_each_step(stack: Stack) -> None:
    operator = stack.person()
    assert 'name="count" type="number" min="1" max="60" value="10"' in operator.get(PATH).text
    assert operator.htmx(PATH, count="2").status_code == 200
    wait_until(lambda: 'data-state="done" data-done="2" data-of="2"' in operator.get(PATH).text, 60)
    log = stack.workers[0].text()
    assert re.findall(r"INFO tasks\.debug: self-test: step (\d of \d)", log) == ["1 of 2", "2 of 2"]
    assert re.search(r"INFO tasks\.debug: self-test: taken after \d+ ms in the queue", log)


@pytest.mark.parametrize("count", ["0", "-1", "61", "1000000000000", "ten", "1.5", "1e1", "<script>"])
def test_a_number_that_it_cannot_count_to_is_refused(stack: Stack, count: str) -> None:
    """422, with the sentence beside the field and what was typed in it; nothing is started."""
    operator = stack.person()
    before = re.findall(r'id="selftest"[^>]*', operator.get(PATH).text)
    page, reply = operator.page(PATH, count=count), operator.htmx(PATH, count=count)
    for answer in (page, reply):
        assert answer.status_code == 422
        assert "Enter a whole number from 1 to 60." in answer.text
        assert "<script>" not in answer.text.split('id="count-message"')[1][:400]
    assert 'aria-invalid="true"' in page.text
    assert 'id="count-message"' in reply.text
    assert 'hx-swap-oob="true"' in reply.text
    assert re.findall(r'id="selftest"[^>]*', operator.get(PATH).text) == before
    assert "Traceback" not in stack.logs()


def test_in_chinese_as_well(stack: Stack) -> None:
    assert "请输入 1 到 60 之间的整数。" in stack.person(language="zh-CN").htmx(PATH, count="0").text
