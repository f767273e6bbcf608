"""What one address, a hundred and ten thousand can do in an hour: `python -m tests.tools.attackers`, some minutes.

A site of its own with the default limits is attacked as well as the attackers know how: they solve every proof, and
stop at no refusal but at a run of them. The hour is sixty steps of a minute each: between two of them every moment that
the limits remember is moved a minute into the past, in the rows and in Redis. What would take days of hashing is worked
out from what was measured, and marked so.

It prints the table that stands in docs/security.md. The exit code is 1 when an owner was locked out of the browser in
which he had signed in before.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import altcha

# It decides what the environment of this process is.
import tests.support.environment  # noqa: F401
from tests.support.numbers import number
from tests.support.stack import Stack

if TYPE_CHECKING:
    import httpx

    from tests.support.person import Person

CROWDS = (1, 100, 10_000)
STEPS = 60
# So many refusals in a row end a step for all: the others would hear the same.
ENOUGH = 12
PASSWORD = "correct horse battery staple"
NEVER = "9000-01-01"
SETTINGS: dict[str, Any] = {
    "TRUSTED_PROXIES": "1",
    "PUBLIC_ORIGIN": "http://login.example.org",
    "ALLOWED_HOSTS": "127.0.0.1",
    # Attackers solve them all: what that costs them is not measured here, so they are made cheap for us.
    "ALTCHA": "adaptive",
    "ALTCHA_COST": "2",
    # The defaults, which other tests widen.
    "SMS_PER_HOUR": "5",
    "SMS_PER_DAY": "10",
    "SMS_PER_IP_HOUR": "10",
    "SMS_BUDGET_HOUR": "200",
    "PASSWORD_TRIES": "10",
    "GUESSES_PER_IP": "100",
}
AGE_ROWS = (
    f"UPDATE accounts_guesses SET open_at = {{open_at}} WHERE open_at < '{NEVER}'",
    "UPDATE accounts_guesses SET last_at = {last_at}",
    "UPDATE tasks_delivery SET created_at = {created_at}, resend_at = {resend_at}",
)
AGE_REDIS = """
for _, key in ipairs(redis.call('KEYS', '*:counted:*')) do
  if redis.call('TYPE', key).ok == 'zset' then
    for _, id in ipairs(redis.call('ZRANGE', key, 0, -1)) do redis.call('ZINCRBY', key, -60000, id) end
  end
end
for _, pattern in ipairs({'*:cooldown:*', '*:challenge:*'}) do
  for _, key in ipairs(redis.call('KEYS', pattern)) do
    redis.call('PEXPIRE', key, math.max(redis.call('PTTL', key) - 60000, 1))
  end
end
"""


@dataclass
class Crowd:
    """Addresses that attack together, one browser each."""

    site: Stack
    size: int

    def __post_init__(self) -> None:
        """Begin with nobody: a browser is made when its turn comes."""
        self.people: dict[int, Person] = {}
        self.turns = itertools.cycle(range(self.size))

    def next(self) -> Person:
        """Return the next attacker."""
        n = next(self.turns)
        if n not in self.people:
            address: dict[str, Any] = {"X-Forwarded-For": f"198.{18 + n // 65536}.{n // 256 % 256}.{n % 256}"}
            self.people[n] = self.site.person(**address)
        return self.people[n]

    @property
    def patience(self) -> int:
        """How many refusals in a row end a step: all have been refused, or enough of them."""
        return min(self.size, ENOUGH)


def proven(person: Person, path: str, **fields: str) -> httpx.Response:
    """Post a form, and once more with the proof if one is asked for."""
    answer = person.post(path, **fields)
    if answer.status_code == 428:
        challenge = altcha.Challenge.from_dict(person.http.get(answer.json()["proof"]).json())
        solution = altcha.solve_challenge(challenge)
        assert solution
        answer = person.post(path, **fields, altcha=altcha.Payload(challenge, solution).to_base64())
    return answer


def a_minute_later(site: Stack) -> None:
    """Let a minute pass for everything that the limits remember."""
    columns = ("open_at", "last_at", "created_at", "resend_at")
    earlier = {column: f"strftime('%Y-%m-%d %H:%M:%f', {column}, '-60 seconds')" for column in columns}
    for statement in AGE_ROWS:
        site.rows(statement.format(**earlier))
    site.redis.eval(AGE_REDIS, 0)


def count(site: Stack, sql: str, *values: Any) -> int:
    """Return the one number that a query asks for."""
    found: int = next(iter(site.rows(sql, *values)[0].values()))
    return found


def owner(site: Stack, name: str) -> tuple[str, Person]:
    """Return the number of a new account, and the browser in which its owner has signed in and out."""
    address: dict[str, Any] = {"X-Forwarded-For": "192.0.2.7"}
    mobile, person = number(), site.person(**address)
    site.user(name, password=PASSWORD, mobile=f"+86{mobile}")
    assert person.login(name, PASSWORD).status_code == 200
    person.logout()
    return mobile, person


def send(site: Stack, size: int) -> tuple[int, bool]:
    """Ask for as many codes as there are, and return how many were promised; and whether the owner still gets one."""
    mobile, person = owner(site, f"sent-to-{size}")
    # Each number is of a range of its own: a range has a limit, too.
    crowd, sent, ranges = Crowd(site, size), 0, itertools.count()
    for _ in range(STEPS):
        refused = 0
        while refused < crowd.patience:
            took = proven(crowd.next(), "/code/", mobile=f"138{next(ranges):04}1234").status_code == 202
            sent, refused = sent + took, 0 if took else refused + 1
        a_minute_later(site)
    return sent, person.ask(mobile).status_code == 202


def guess_passwords(site: Stack, size: int) -> tuple[int, int, bool]:
    """Guess at one account's password.

    Returns guesses looked at, minutes for which new browsers were paused, and whether the owner came in.
    """
    name = f"guessed-at-{size}"
    _, person = owner(site, name)
    crowd, looked_at, paused = Crowd(site, size), 0, 0
    for _ in range(STEPS):
        refused = 0
        while refused < crowd.patience:
            answer = proven(crowd.next(), "/login/", username=name, password="a wrong password")
            looked_at, refused = (looked_at + 1, 0) if answer.status_code == 422 else (looked_at, refused + 1)
        newcomer = "SELECT count(*) FROM accounts_guesses WHERE key LIKE 'password:%' AND open_at > ?"
        in_half_a_minute = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() + 29))
        paused += bool(count(site, newcomer, in_half_a_minute))
        a_minute_later(site)
    return looked_at, paused, person.login(name, PASSWORD).status_code == 200


def guess_codes(site: Stack, size: int) -> tuple[int, bool]:
    """Guess at one number's codes. Returns guesses looked at, and whether its owner came in by one."""
    mobile, person = owner(site, f"code-of-{size}")
    crowd, looked_at = Crowd(site, size), 0
    for _ in range(STEPS):
        attacker = crowd.next()
        if proven(attacker, "/code/", mobile=mobile).status_code == 202:
            looked_at += sum(attacker.enter("000000").json()["code"] == "SMS_CODE_WRONG" for _ in range(5))
        a_minute_later(site)
    answer = person.ask(mobile)
    return looked_at, answer.status_code == 202


def spray(site: Stack) -> int:
    """Guess once at each of many accounts from one address, and return how many guesses were looked at."""
    crowd, looked_at = Crowd(site, 1), 0
    for minute in range(STEPS):
        refused = 0
        while refused < crowd.patience:
            name = f"anybody-{minute}-{looked_at}"
            answer = proven(crowd.next(), "/login/", username=name, password="a wrong password")
            looked_at, refused = (looked_at + 1, 0) if answer.status_code == 422 else (looked_at, refused + 1)
        a_minute_later(site)
    return looked_at


def afresh(site: Stack) -> None:
    """Forget what the attack before has left."""
    for table in ("tasks_attempt", "tasks_report", "tasks_delivery", "accounts_guesses"):
        site.rows(f"DELETE FROM {table}")
    site.redis.flushdb()


def main() -> int:
    """Attack, and print the table."""
    columns: dict[str, list[str]] = {}
    kept = True
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder), **SETTINGS) as site:
        began = time.monotonic()
        alone = spray(site)
        a_second = alone / (time.monotonic() - began)
        for size in CROWDS:
            afresh(site)
            sent, still_gets_one = send(site, size)
            afresh(site)
            passwords, paused, comes_in = guess_passwords(site, size)
            afresh(site)
            codes, gets_one = guess_codes(site, size)
            afresh(site)
            kept = kept and still_gets_one and comes_in and gets_one
            all_over = alone if size == 1 else min(size * alone, int(a_second * 3600))
            columns[f"{size:,}"] = [
                str(sent),
                str(passwords),
                f"{paused} min",
                str(codes),
                f"{all_over:,}{'' if size == 1 else ' (worked out)'}",
                "none" if still_gets_one and comes_in and gets_one else "LOCKED OUT",
            ]
            print(size, columns[f"{size:,}"], file=sys.stderr)  # noqa: T201
    rows = (
        "SMS sent",
        "guesses looked at, one account's password",
        "that password paused for new browsers",
        "guesses looked at, one number's codes",
        "guesses looked at, whole site",
        "owners locked out where they had signed in before",
    )
    print(f"| In an hour | {' | '.join(f'{size} address' + 'es' * (size != '1') for size in columns)} |")  # noqa: T201
    print(f"|---|{'---|' * len(columns)}")  # noqa: T201
    for row, cells in zip(rows, zip(*columns.values(), strict=True), strict=True):
        print(f"| {row} | {' | '.join(cells)} |")  # noqa: T201
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
