"""`make run` with real processes: it says when the site is up, what is wrong in one line, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.production import PRODUCTION_HTTPS as PRODUCTION
from tests.support.stack import free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

BASE_DIR = Path(__file__).resolve().parents[2]
# Seconds. A start takes two or three on an idle machine; the tests beside this one keep it busy.
PATIENCE = 60

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="counts processes in /proc")


def living(var_dir: Path) -> dict[int, list[str]]:
    """Return number and command line of each process that lives with this VAR_DIR; the dead and unburied have none."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            named = f"VAR_DIR={var_dir}".encode() in process.joinpath("environ").read_bytes().split(b"\0")
            # Valkey writes its title over its environment.
            if named or process.joinpath("cwd").readlink() == var_dir / "valkey":
                found[int(process.name)] = re.split(r"[\0 ]", process.joinpath("cmdline").read_text())
    return found


def assert_nothing_lives(var_dir: Path) -> None:
    """Check that nothing is left. What was killed in the last instant is seen until the machine comes to bury it."""
    wait_until(lambda: not living(var_dir), 3, "something is left behind")


class Run:
    """A runner that a test has started, with what it has printed so far."""

    def __init__(self, var_dir: Path, *command: str, **settings: str) -> None:
        self.var_dir = var_dir
        self.port = int(settings.get("PORT", free_port()))
        self.began = time.monotonic()
        base = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.process = subprocess.Popen(
            command or [sys.executable, "-m", "project.run", "--development"],
            cwd=BASE_DIR,
            env=base | {"ENV_FILE": "", "VAR_DIR": str(var_dir), "PORT": str(self.port)} | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.lines.append(line.rstrip("\n"))

    def wait_for(self, line: str) -> None:
        while line not in self.lines:
            assert self.process.poll() is None, self.lines
            assert time.monotonic() - self.began < PATIENCE, self.lines
            time.sleep(0.05)

    def wait_until_ready(self) -> None:
        self.wait_for(f"Latchkey is ready at http://127.0.0.1:{self.port}/")

    def end(self) -> int:
        """Wait for its end and for its last words."""
        code = self.process.wait(PATIENCE)
        self._reader.join(5)
        return code

    def get(self, path: str) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            status: int = answer.status
            return status

    def pid(self, program: str) -> int:
        """Return the process number of a part."""
        alive = living(self.var_dir)
        # The program itself, or the Python that runs it.
        return next(pid for pid, words in alive.items() if program in [Path(word).name for word in words[:2]])


@contextmanager
def running(var_dir: Path, *command: str, **settings: str) -> Iterator[Run]:
    run = Run(var_dir, *command, **settings)
    try:
        yield run
    finally:
        with suppress(ProcessLookupError):
            os.killpg(run.process.pid, signal.SIGKILL)
        run.end()


def refusal(var_dir: Path, **settings: str) -> tuple[int, list[str]]:
    """Return the exit code and the lines of a start that is refused."""
    with running(var_dir, **settings) as run:
        return run.end(), run.lines


def test_it_says_where_the_site_is_once_it_answers_and_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    with running(tmp_path) as run:
        run.wait_until_ready()
        assert run.get("/") == run.get("/login/") == run.get("/readyz") == 200
        assert len(living(tmp_path)) > 3, "or this test means nothing"
        pressed = time.monotonic()
        os.killpg(run.process.pid, signal.SIGINT)
        assert run.end() == 0
        assert time.monotonic() - pressed < 10
        assert_nothing_lives(tmp_path)
        assert f"Dev phone: http://127.0.0.1:{run.port}/dev/phone/" in run.lines
        assert "Traceback" not in "\n".join(run.lines)


def test_make_run_ends_cleanly_when_its_whole_group_is_told_to(tmp_path: Path) -> None:
    venv = Path(sys.prefix)
    if not venv.joinpath("runtime.stamp").exists():
        pytest.skip("this Python is not from a folder that `make` has prepared")
    with running(tmp_path, "make", "--no-print-directory", "run", f"VENV={venv}") as run:
        run.wait_until_ready()
        os.killpg(run.process.pid, signal.SIGTERM)
        run.end()
        assert_nothing_lives(tmp_path)
        assert "Traceback" not in "\n".join(run.lines)


def test_kill_9_of_the_runner_leaves_no_orphan_and_the_next_start_works(tmp_path: Path) -> None:
    with running(tmp_path) as run:
        run.wait_until_ready()
        run.process.kill()
        killed = time.monotonic()
        while left := living(tmp_path):
            assert time.monotonic() - killed < 10, left
            time.sleep(0.1)
    with running(tmp_path, PORT=str(run.port)) as again:
        again.wait_until_ready()


@pytest.mark.parametrize(
    ("part", "program"), [("daphne", "daphne"), ("huey", "huey_consumer"), ("valkey", "valkey-server")]
)
def test_a_part_that_dies_is_named_and_takes_the_others_with_it(tmp_path: Path, part: str, program: str) -> None:
    with running(tmp_path) as run:
        run.wait_until_ready()
        os.kill(run.pid(program), signal.SIGKILL)
        assert run.end() == 1
        assert f"{part} has died with exit code -9. The other parts are being stopped." in run.lines
        assert_nothing_lives(tmp_path)


def test_a_taken_port_is_said_in_one_line_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, lines = refusal(tmp_path, PORT=str(port))
    assert code == 1
    assert lines == [
        f"Port {port} on 127.0.0.1 is in use. Stop the program using it, or run: PORT={port + 1} make run."
    ]
    assert not tmp_path.joinpath("latchkey.sqlite3").exists()


def test_an_unreachable_redis_is_named_without_its_password(tmp_path: Path) -> None:
    port = free_port()
    code, lines = refusal(tmp_path, REDIS_URL=f"redis://:hunter2@127.0.0.1:{port}/0")
    assert code == 1
    assert lines == [f"Redis at 127.0.0.1:{port} does not answer. Start it, or leave REDIS_URL empty for our own."]


def test_a_redis_that_hangs_is_named_as_well(tmp_path: Path) -> None:
    # It takes connections, as the kernel does for a stopped process, and never says a word.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        code, lines = refusal(tmp_path, REDIS_URL=f"redis://:hunter2@127.0.0.1:{port}/0")
    assert code == 1
    assert lines == [f"Redis at 127.0.0.1:{port} does not answer. Start it, or leave REDIS_URL empty for our own."]


def test_an_unreachable_database_is_said_in_one_line(tmp_path: Path) -> None:
    port = free_port()
    code, lines = refusal(tmp_path, DATABASE_URL=f"postgres://somebody:hunter2@127.0.0.1:{port}/latchkey")
    assert code == 1
    assert len(lines) == 1
    assert lines[0].startswith("The database of DATABASE_URL cannot be used: ")
    assert "hunter2" not in lines[0]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("SMS_COOLDOWN", "soon", r"SMS_COOLDOWN is 'soon', which is not a whole number\. Write .*"),
        ("SMS_GATEWAYS", "pigeon", r"SMS_GATEWAYS names 'pigeon', .*"),
        ("HOST", "192.0.2.1", r"DEBUG is on while HOST is '192\.0\.2\.1': .* Write HOST=127\.0\.0\.1, or DEBUG=0 .*"),
        ("HOST", "no.localhost", r"HOST is 'no\.localhost', no address at all\. Write HOST=127\.0\.0\.1\."),
        ("VAR_DIR", "/dev/null/var", r".*/dev/null.*Write .* of yours\."),
    ],
)
def test_a_wrong_setting_is_said_in_one_line(tmp_path: Path, name: str, value: str, says: str) -> None:
    code, lines = refusal(tmp_path, **{name: value})
    assert code == 2
    assert len(lines) == 1, lines
    assert re.fullmatch(says, lines[0])


def test_all_wrong_settings_are_said_at_once(tmp_path: Path) -> None:
    code, lines = refusal(tmp_path, DEBUG="0", SMS_COOLDOWN="soon")
    assert code == 2
    assert [line.split()[0] for line in lines] == ["SECRET_KEY", "PUBLIC_ORIGIN", "SMS_GATEWAYS", "SMS_COOLDOWN"]


def test_an_address_of_another_machine_is_said_in_one_line(tmp_path: Path) -> None:
    code, lines = refusal(tmp_path, **PRODUCTION, DEBUG="0", HOST="192.0.2.1")
    assert (code, lines) == (2, ["HOST is '192.0.2.1', no address of this machine. Write HOST=127.0.0.1."])


def test_plain_http_on_purpose_is_warned_of_once_for_the_whole_tree(tmp_path: Path) -> None:
    """D5: the runner says it, and daphne and the worker that it starts do not say it again."""
    settings = {"DEBUG": "0", "PUBLIC_ORIGIN": "http://login.example.org", "INSECURE_HTTP": "1"}
    with running(tmp_path, **{**PRODUCTION, **settings}) as run:
        run.wait_until_ready()
        warnings = [line for line in run.lines if "INSECURE_HTTP" in line]
    assert warnings == [
        "INSECURE_HTTP=1: passwords, codes and sessions of http://login.example.org can be read on their way."
    ]
    assert run.lines.index(warnings[0]) < run.lines.index(f"Latchkey is ready at http://127.0.0.1:{run.port}/")


def test_debug_of_the_env_file_counts(tmp_path: Path) -> None:
    tmp_path.joinpath("env").write_text("DEBUG=0\n")
    code, lines = refusal(tmp_path, ENV_FILE=str(tmp_path / "env"))
    assert code == 2
    assert lines[0].startswith("SECRET_KEY is not set."), lines
