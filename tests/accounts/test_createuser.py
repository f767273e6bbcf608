"""`make user`: an account by the rules of the site, from a terminal or a program, before the first start and after."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.numbers import number
from tests.support.stack import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.stack import Stack

PASSWORD = "seven quiet herons by the lake"
COMMAND = [sys.executable, "-m", "project.run.user"]


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """Return the environment of somebody who has just cloned the repository."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "ENV_FILE": "", "VAR_DIR": str(folder), **settings}


def create(of: dict[str, str], *words: str, password: str = "") -> subprocess.CompletedProcess[str]:
    """Make an account as a program does: the password is the first line of standard input."""
    return subprocess.run(
        [*COMMAND, *words], cwd=ROOT, env=of, input=f"{password}\n", capture_output=True, text=True, check=False
    )


def test_an_account_is_made_before_the_first_start(tmp_path: Path) -> None:
    """Neither a database nor a Redis is there yet."""
    of = environment(tmp_path)
    done = create(of, "--name", "alice", "--superuser", password=PASSWORD)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "The superuser alice can sign in at http://127.0.0.1:8000/login/"
    show = "from accounts.models import User; u = User.objects.get(); print(u.is_superuser, u.check_password(%r))"
    told = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v0", "-c", show % PASSWORD],
        cwd=ROOT, env=of | {"DEBUG": "1"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout.strip() == "True True"


def test_it_signs_in_on_a_site_that_runs(stack: Stack) -> None:
    """By its password, or by a code to its number in any spelling."""
    mobile = number()
    made = create(stack.environment, "--name", "beatrice", "--mobile", f"+86 {mobile[:3]}-{mobile[3:]}", "--staff")
    assert made.stdout.startswith("The staff account beatrice can sign in at ")
    assert create(stack.environment, "--name", "clarence", password=PASSWORD).returncode == 0
    person = stack.person()
    assert person.login("clarence", PASSWORD).status_code == 200
    other = stack.person()
    assert other.ask(mobile).status_code == 202
    assert other.enter(stack.phone.code_for(mobile)).status_code == 200
    assert (person.username, other.username) == ("clarence", "beatrice")


@pytest.mark.parametrize(
    ("words", "password", "said"),
    [
        ([], PASSWORD, "The account needs a username. Run: make user NAME=alice, or make user in a terminal."),
        (["--name", "bob"], PASSWORD, "Username 'bob': Enter 5 to 20 letters, digits, hyphens or underscores."),
        (["--name", "TAKEN"], PASSWORD, "Username 'TAKEN': This username is taken."),
        (["--name", "13800138000"], PASSWORD, "Username '13800138000': A username can't look like a mobile number."),
        (["--name", "robert"], "", "Password: Without a mobile number the account needs one"),
        (["--name", "robert"], "hunter2", "Password: This password is too short."),
        (["--name", "robert"], "password" * 3, "Password: This password is too easy to guess."),
        (["--name", "robert", "--mobile", "123"], "", "Mobile number '123': Not one of SMS_REGIONS (CN)."),
        (["--name", "robert", "--mobile", "{taken}"], "", "Mobile number '{taken}': This number is already used"),
    ],
)
def test_what_the_site_would_refuse_is_said_in_one_line(
    stack: Stack, words: list[str], password: str, said: str
) -> None:
    taken = "13900139000"
    create(stack.environment, "--name", "taken", "--mobile", taken)
    before = len(stack.rows("SELECT * FROM accounts_user"))
    done = create(stack.environment, *(word.format(taken=taken) for word in words), password=password)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(said.format(taken=taken))
    assert "hunter2" not in line
    assert len(stack.rows("SELECT * FROM accounts_user")) == before


class Terminal:
    """Somebody at a terminal, who reads before they type."""

    def __init__(self, of: dict[str, str], *words: str) -> None:
        """Run the command."""
        self.seen = ""
        self.end, other = pty.openpty()
        self.process = subprocess.Popen(
            [*COMMAND, *words], cwd=ROOT, env=of, stdin=other, stdout=other, stderr=other, start_new_session=True
        )
        os.close(other)

    def answer(self, question: str, line: str) -> None:
        """Wait for a question at the end of what is seen, and answer it."""
        until = time.monotonic() + 60
        while not self.seen.endswith(question):
            assert time.monotonic() < until, self.seen
            self.seen += os.read(self.end, 1000).decode()
        # getpass throws away what was typed before it was ready.
        time.sleep(0.2)
        os.write(self.end, f"{line}\n".encode())
        self.seen += " "

    def rest(self) -> list[str]:
        """Wait for the end, and return every line that was seen."""
        self.process.wait(60)
        try:
            while piece := os.read(self.end, 1000):
                self.seen += piece.decode()
        except OSError:
            # The other end is closed.
            pass
        return [line.strip() for line in self.seen.splitlines()]


def test_a_terminal_is_asked_again_until_the_answer_is_right(stack: Stack) -> None:
    terminal = Terminal(stack.environment)
    terminal.answer("Username: ", "bob")
    terminal.answer("Username: ", "roberta")
    terminal.answer("(Enter for none): ", "")
    terminal.answer("Password (Enter for none): ", "")
    terminal.answer("Password (Enter for none): ", PASSWORD)
    terminal.answer("The same again: ", PASSWORD.upper())
    terminal.answer("Password (Enter for none): ", PASSWORD)
    terminal.answer("The same again: ", PASSWORD)
    lines = terminal.rest()
    assert terminal.process.returncode == 0
    for said in (
        "Username 'bob': Enter 5 to 20 letters, digits, hyphens or underscores.",
        "Password: Without a mobile number the account needs one, or nobody can sign in to it.",
        "The two passwords are not the same.",
        f"The account roberta can sign in at {stack.url}/login/",
    ):
        assert said in lines, terminal.seen
    assert PASSWORD not in terminal.seen, "nobody reads it over a shoulder"
    assert stack.person().login("roberta", PASSWORD).status_code == 200


def test_ctrl_c_makes_nothing(stack: Stack) -> None:
    terminal = Terminal(stack.environment, "--name", "stopped")
    terminal.answer("(Enter for none): ", "")
    terminal.process.send_signal(2)
    assert "No account was made." in terminal.rest()
    assert terminal.process.returncode == 1
    assert stack.rows("SELECT * FROM accounts_user WHERE username = 'stopped'") == []


def test_a_wrong_setting_is_said_as_by_make_run(tmp_path: Path) -> None:
    done = create(environment(tmp_path, SMS_COOLDOWN="soon", PORT="http"), "--name", "alice")
    assert done.returncode == 2
    assert [line.split()[0] for line in done.stderr.splitlines()] == ["PORT", "SMS_COOLDOWN"]
