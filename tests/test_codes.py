"""A code's whole life, asked for and used over HTTP, against a site of real parts."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tests.numbers import number

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.person import Person
    from tests.stack import Stack


def test_a_newcomer_gets_a_code_and_an_account(stack: Stack) -> None:
    person, mobile = stack.person(), number()
    answer = person.ask(mobile)
    assert answer.status_code == 202
    assert answer.json()["state"] == "queued"
    code = next(m.code for m in stack.phone.wait_for(1) if m.to == f"+86{mobile}")
    answer = person.enter(code)
    assert answer.status_code == 200, answer.text
    assert person.username == answer.json()["username"]


def test_sixty_four_at_once_are_one_sms_and_its_code_works(make_stack: Callable[..., Stack]) -> None:
    """T-1 and T-2: the loser of the race must not write over the winner's code. Twenty rounds, two servers."""
    stack = make_stack(webs=2)
    people = [stack.person(port=stack.ports[n % 2]) for n in range(64)]
    for person in people:
        assert person.token
    for _ in range(20):
        mobile = number()
        before = len(stack.deliveries())
        barrier = threading.Barrier(len(people))
        answers: dict[int, int] = {}

        def ask(n: int, person: Person, mobile: str = mobile, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            answers[n] = person.ask(mobile).status_code

        threads = [threading.Thread(target=ask, args=(n, person)) for n, person in enumerate(people)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers.values()) == [202] + [429] * 63
        assert len(stack.deliveries()) == before + 1
        winner = people[next(n for n, status in answers.items() if status == 202)]
        stack.wait_for_state("sent")
        arrived = [message for message in stack.phone.messages if message.to == f"+86{mobile}"]
        assert len(arrived) == 1
        assert winner.enter(arrived[0].code).status_code == 200
        winner.logout()
