"""Whether anything can be told by how long an answer takes: `make timing`. Threats T-10, T-26 and T-29.

    python -m tests.tools.timing                      # all, 300 samples a class, some minutes
    python -m tests.tools.timing --samples 50 login   # a quick look at one of them

A site of its own answers requests that differ in one thing only, in rounds of one request of each class, in any order:
so whatever else the machine does happens to all alike. A class counts as the same as the first one when the 95 %
confidence interval of the median difference within a round lies inside of 5 % or 3 ms. The exit code is 1 when one does
not: it stands out, or the machine is too busy to tell.

No test does this: what a busy machine measures is no reason to stop anybody's work. What the tests hold is why there
is nothing to measure: the same statements and hashes on every path (tests/project/test_threats.py).
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import django

# It decides what the environment of this process is.
import tests.support.environment  # noqa: F401

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.stack import Stack

# What does not matter: a share of the median, or so many milliseconds.
SHARE = 0.05
FLOOR = 3.0
RESAMPLES = 2000
# Whom the others are compared with.
FIRST = ("known number", "real name", "0 digits right")
PASSWORD = "correct horse battery staple"

# As in the world, but for the limits, which would end the measurement. The gateway is a real one that nobody calls.
PRODUCTION: dict[str, Any] = {
    "DEBUG": "0",
    "PUBLIC_ORIGIN": "http://127.0.0.1",
    "TRUSTED_PROXIES": "1",
    "SIGN_UP": "0",
    "ALTCHA": "off",
    "SMS_CODE_TTL": "600",
    "SMS_PER_SESSION_HOUR": "1000000",
    "SMS_PER_PREFIX_HOUR": "1000000",
    "SMS_GATEWAYS": "yuntongxun",
    "YUNTONGXUN_ACCOUNT_SID": "a" * 32,
    "YUNTONGXUN_AUTH_TOKEN": "b" * 32,
    "YUNTONGXUN_APP_ID": "c" * 32,
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One request: what class it is of, and how to send it. Returns the status."""

    group: str
    send: Callable[[], int]


class Browser:
    """One connection and one cookie jar. Every request seems to come from another address, so that no limit bites."""

    def __init__(self, stack: Stack) -> None:
        """Open the login page, for a session and a token."""
        person = stack.person()
        self.token = person.token
        person.http.cookies.update(person.get().cookies)
        self.cookies = "; ".join(f"{name}={value}" for name, value in person.http.cookies.items())
        self.connection = http.client.HTTPConnection("127.0.0.1", stack.ports[0], timeout=30)

    def post(self, path: str, **fields: str) -> int:
        """Post a form as a program, take the cookies of the answer, and return its status."""
        self.connection.request(
            "POST",
            path,
            urlencode(fields),
            {
                "Accept": "application/json",
                "Content-Type": "application/x-www-form-urlencoded",
                "Cookie": self.cookies,
                "Host": "127.0.0.1",
                "X-CSRFToken": self.token,
                "X-Forwarded-For": ".".join(str(random.randrange(1, 255)) for _ in range(4)),
            },
        )
        answer = self.connection.getresponse()
        answer.read()
        for cookie in answer.headers.get_all("Set-Cookie") or []:
            name, _, value = cookie.partition(";")[0].partition("=")
            kept = [pair for pair in self.cookies.split("; ") if not pair.startswith(f"{name}=")]
            self.cookies = "; ".join([*kept, f"{name}={value}"])
        return answer.status


class Numbers:
    """Mobile numbers, each once."""

    def __init__(self) -> None:
        """Begin with the first."""
        self._next = count(1)

    def __call__(self) -> str:
        """Return the next one, in E.164."""
        return f"+86138{next(self._next):08}"


def main() -> int:
    """Measure what the command line says, print a table, and return the exit code."""
    parser = argparse.ArgumentParser(description="Measure what can be told by how long an answer takes.")
    parser.add_argument("what", nargs="*", choices=["code", "login", "digits", []], help="default: all")
    parser.add_argument("--samples", type=int, default=300, help="of each class")
    parser.add_argument("--seed", type=int, default=None, help="of the order, for a run once more")
    said = parser.parse_args()
    random.seed(said.seed)
    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
    django.setup()
    from tests.support.stack import Stack

    kinds = {"code": of_asking, "login": of_passwords, "digits": of_digits}
    same = True
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder), workers=0, **PRODUCTION) as stack:
        for name in said.what or kinds:
            samples = kinds[name](stack, said.samples)
            same &= report(name, measure(samples))
    return 0 if same else 1


def of_asking(stack: Stack, n: int) -> Iterator[Sample]:
    """T-10: asking for a code, for a number with an account, without one, and with one that is switched off."""
    numbers, browser = Numbers(), Browser(stack)
    known = make_accounts(stack, "asked", n + 3, numbers)
    inactive = make_accounts(stack, "asleep", n + 3, numbers, is_active=False)

    def ask(mobile: str) -> Callable[[], int]:
        return lambda: expect(202, browser.post("/code/", mobile=mobile))

    for _, mobile in [*known[n:], *inactive[n:]]:
        ask(mobile)()
    for name_and_mobile, other in zip(known[:n], inactive[:n], strict=True):
        yield from shuffled(
            Sample("known number", ask(name_and_mobile[1])),
            Sample("unknown number", ask(numbers())),
            Sample("inactive account's", ask(other[1])),
        )


def of_passwords(stack: Stack, n: int) -> Iterator[Sample]:
    """T-29: a wrong password, by name and by number, for all that an account may be or not be."""
    numbers, browser = Numbers(), Browser(stack)
    for _ in range(10**6):
        numbers()
    real = make_accounts(stack, "real", n, numbers)
    by_number = make_accounts(stack, "called", n, numbers)
    inactive = make_accounts(stack, "gone", n, numbers, is_active=False)
    codes_only = make_accounts(stack, "codes", n, numbers, password="!no-password")

    def guess(name: str) -> Callable[[], int]:
        return lambda: expect(422, browser.post("/login/", username=name, password=f"not {PASSWORD}"))

    # Every account is guessed at once: the first guess of all makes a row, and so do all of these.
    for n_th in range(n):
        yield from shuffled(
            Sample("real name", guess(real[n_th][0])),
            Sample("unknown name", guess(f"nobody-{n_th}")),
            Sample("inactive account", guess(inactive[n_th][0])),
            Sample("no password set", guess(codes_only[n_th][0])),
            Sample("real number", guess(by_number[n_th][1])),
            Sample("unknown number", guess(numbers())),
        )


def of_digits(stack: Stack, n: int) -> Iterator[Sample]:
    """T-26: a wrong code whose first digits are right, none of them to five of six. Two guesses at each code."""
    from tasks import otp

    numbers, browser = Numbers(), Browser(stack)
    for _ in range(2 * 10**6):
        numbers()
    order = [right for _ in range(n) for right in random.sample(range(6), 6)]

    def enter(code: str) -> Callable[[], int]:
        return lambda: expect(422, browser.post("/login/code/", code=code))

    holders = make_accounts(stack, "holder", len(order) // 2, numbers)
    for at, (_name, mobile) in enumerate(holders):
        expect(202, browser.post("/code/", mobile=mobile))
        (row,) = stack.rows("SELECT id, purpose FROM tasks_delivery WHERE mobile = ?", mobile)
        code = otp.digits(row["id"], row["purpose"], mobile, stack.settings["SECRET_KEY"])
        for right in order[2 * at : 2 * at + 2]:
            wrong = code[:right] + "".join(str((int(digit) + 1) % 10) for digit in code[right:])
            yield Sample(f"{right} digits right", enter(wrong))


def expect(status: int, got: int) -> int:
    """Return a status that is the expected one. Fail on another: then something else is measured than was meant."""
    if got != status:
        raise SystemExit(f"answered {got} instead of {status}: a limit has bitten, or this measures nothing")
    return got


def shuffled(*samples: Sample) -> list[Sample]:
    """Return them in any order."""
    return random.sample(samples, len(samples))


def make_accounts(
    stack: Stack, name: str, n: int, numbers: Callable[[], str], *, password: str = "", is_active: bool = True
) -> list[tuple[str, str]]:
    """Make accounts and return their names and numbers. They share one hash: making it is what takes long."""
    from django.contrib.auth.hashers import make_password

    encoded = password or make_accounts.__dict__.setdefault("hash", make_password(PASSWORD))
    made = [(f"{name}-{n_th}", numbers()) for n_th in range(n)]
    with contextlib.closing(sqlite3.connect(stack.folder / "latchkey.sqlite3", timeout=10)) as connection, connection:
        connection.executemany(
            "INSERT INTO accounts_user (username, mobile, password, is_active, is_staff, is_superuser, first_name, "
            "last_name, email, date_joined) VALUES (?, ?, ?, ?, 0, 0, '', '', '', '2026-01-01 00:00:00')",
            [(username, mobile, encoded, int(is_active)) for username, mobile in made],
        )
    return made


def measure(samples: Iterator[Sample]) -> dict[str, list[float]]:
    """Send each and return the milliseconds by class."""
    found: dict[str, list[float]] = defaultdict(list)
    for sample in samples:
        began = time.perf_counter()
        sample.send()
        found[sample.group].append((time.perf_counter() - began) * 1000)
    return found


def report(name: str, found: dict[str, list[float]]) -> bool:
    """Print each class beside the first one, and tell whether none of them stands out."""
    reference, *others = sorted(found, key=lambda group: (group not in FIRST, group))
    base = statistics.median(found[reference])
    allowed = max(SHARE * base, FLOOR)
    say(f"\n{name}: {len(found[reference])} samples a class, allowed ±{allowed:.1f} ms")
    say(f"| {'class':20} | median ms | difference ms | 95 % of it         |            |")
    say(f"|{'-' * 22}|-----------|---------------|--------------------|------------|")
    say(f"| {reference:20} | {base:9.2f} |               |                    |            |")
    same = True
    for group in others:
        differences = [one - other for one, other in zip(found[group], found[reference], strict=True)]
        low, high = interval(differences)
        verdict = "same" if -allowed <= low and high <= allowed else "not sure" if low <= 0 <= high else "stands out"
        same &= verdict == "same"
        middle = statistics.median(differences)
        median = statistics.median(found[group])
        say(f"| {group:20} | {median:9.2f} | {middle:+13.2f} | {low:+7.2f} .. {high:+7.2f} | {verdict:10} |")
    return same


def interval(differences: list[float]) -> tuple[float, float]:
    """Return the 95 % confidence interval of the median, by bootstrap (percentile method)."""
    medians = sorted(statistics.median(random.choices(differences, k=len(differences))) for _ in range(RESAMPLES))
    return medians[int(RESAMPLES * 0.025)], medians[int(RESAMPLES * 0.975)]


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
