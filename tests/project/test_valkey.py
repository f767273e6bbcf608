"""The embedded Valkey with real processes: one for a VAR_DIR, no open door, nothing lost, nothing left behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import redis

from project import env
from project.run import valkey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BASE_DIR = Path(__file__).resolve().parents[2]
# A process that has the server, says so, and then waits to be ended.
OWNER = """
import pathlib, sys, time
from project.run import valkey
valkey.ensure(pathlib.Path(sys.argv[1]))
print(len(valkey.owned), flush=True)
time.sleep(60)
"""

needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads /proc")


@pytest.fixture
def var_dir(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    valkey.stop()


def start_owner(var_dir: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", OWNER, var_dir], cwd=BASE_DIR, stdout=subprocess.PIPE, text=True)


def servers(var_dir: Path) -> list[int]:
    """Return the process numbers of the servers that live in this VAR_DIR."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            # The watcher beside it names it as well, but as the third word.
            words = re.split(r"[\0 ]", process.joinpath("cmdline").read_text())
            if process.joinpath("cwd").readlink() == var_dir / "valkey" and words[0].endswith("valkey-server"):
                found.append(int(process.name))
    return found


def soon(condition: Callable[[], object], within: float = 10) -> bool:
    """Wait until the condition holds."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_the_address_stays_the_same_and_starts_nothing(var_dir: Path) -> None:
    address = valkey.url(var_dir)
    assert re.fullmatch(r"redis://:[0-9a-f]{64}@127\.0\.0\.1:(2\d|3[01])\d{3}/0", address)
    assert valkey.url(var_dir) == address
    assert not valkey.answers(var_dir)


def test_two_that_ask_for_the_address_at_once_get_the_same(var_dir: Path) -> None:
    ask = "import pathlib, sys; from project.run import valkey; print(valkey.url(pathlib.Path(sys.argv[1])))"
    asking = [
        subprocess.Popen([sys.executable, "-c", ask, var_dir], cwd=BASE_DIR, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert len({one.communicate()[0] for one in asking}) == 1


def test_it_lets_nobody_in_without_the_password(var_dir: Path) -> None:
    """T-95."""
    valkey.ensure(var_dir)
    assert redis.Redis.from_url(valkey.url(var_dir)).ping(), "or this test means nothing"
    without = re.sub(":[0-9a-f]{64}@", "", valkey.url(var_dir))
    with pytest.raises(redis.AuthenticationError):
        redis.Redis.from_url(without).ping()


def test_no_other_user_of_the_machine_can_read_its_files(var_dir: Path) -> None:
    """T-87, T-95."""
    valkey.ensure(var_dir)
    redis.Redis.from_url(valkey.url(var_dir)).set("a", "b")
    files = [path for path in (var_dir / "valkey").rglob("*") if path.is_file()]
    assert len(files) > 3, "or this test means nothing"
    assert {path.stat().st_mode & 0o077 for path in [var_dir / "valkey", *files]} == {0}


@needs_proc
def test_the_password_is_on_no_command_line(var_dir: Path) -> None:
    """T-87, T-95."""
    valkey.ensure(var_dir)
    password = urlsplit(valkey.url(var_dir)).password or ""
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert any(b"valkey-server" in line for line in lines), "or this test means nothing"
    assert len(password) == 64, "or this test means nothing"
    assert not any(password.encode() in line for line in lines)


@needs_proc
def test_reading_the_address_writes_nothing(var_dir: Path) -> None:
    """The settings do it in every process, an editor's as well."""
    before = sorted(var_dir.rglob("*"))
    assert valkey.recorded_url(var_dir) == valkey.NOWHERE
    assert sorted(var_dir.rglob("*")) == before
    address = valkey.url(var_dir)
    assert valkey.recorded_url(var_dir) == address


def test_two_starts_at_once_share_one_valkey(var_dir: Path) -> None:
    owners = [start_owner(var_dir) for _ in range(4)]
    owned = [int((owner.stdout or sys.stdin).readline()) for owner in owners]
    assert sorted(owned) == [0, 0, 0, 1]
    assert len(servers(var_dir)) == 1
    for owner in owners:
        owner.kill()
    assert soon(lambda: not servers(var_dir))


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_server_ends_with_its_owner_however_that_one_ends(var_dir: Path, number: signal.Signals) -> None:
    owner = start_owner(var_dir)
    assert (owner.stdout or sys.stdin).readline() == "1\n"
    redis.Redis.from_url(valkey.url(var_dir)).set("kept", "yes")
    assert servers(var_dir), "or this test means nothing"
    owner.send_signal(number)
    assert soon(lambda: not servers(var_dir))
    # And a start in the same breath gets what was written.
    valkey.ensure(var_dir)
    assert redis.Redis.from_url(valkey.url(var_dir)).get("kept") == b"yes"


@needs_proc
def test_nothing_is_lost_when_the_server_is_killed(var_dir: Path) -> None:
    valkey.ensure(var_dir)
    redis.Redis.from_url(valkey.url(var_dir)).set("kept", "yes")
    os.kill(servers(var_dir)[0], signal.SIGKILL)
    assert soon(lambda: valkey.exit_code() == -signal.SIGKILL)
    valkey.ensure(var_dir)
    assert redis.Redis.from_url(valkey.url(var_dir)).get("kept") == b"yes"


def test_a_server_that_cannot_write_to_its_disk_is_left_running(var_dir: Path) -> None:
    """It answers PING with -MISCONF. A new start mends no disk, and loses what the old server holds."""
    valkey.ensure(var_dir)
    before = servers(var_dir)
    client = redis.Redis.from_url(valkey.url(var_dir))
    # A file that cannot be replaced by a snapshot, as on a full disk.
    (var_dir / "valkey" / "dump.rdb").mkdir()
    client.config_set("save", "3600 1000")
    client.bgsave()
    assert soon(lambda: _is_refused(client))
    assert valkey.answers(var_dir)
    valkey.ensure(var_dir)
    assert servers(var_dir) == before


def _is_refused(client: redis.Redis) -> bool:
    try:
        client.ping()
    except redis.ResponseError as error:
        return "MISCONF" in str(error)
    return False


def test_it_comes_back_under_the_same_address(var_dir: Path) -> None:
    valkey.ensure(var_dir)
    client = redis.Redis.from_url(valkey.url(var_dir))
    client.set("kept", "yes")
    valkey.stop()
    assert not valkey.answers(var_dir)
    valkey.ensure(var_dir)
    assert client.get("kept") == b"yes"


def test_the_thread_that_started_it_may_end(var_dir: Path) -> None:
    thread = threading.Thread(target=valkey.ensure, args=[var_dir])
    thread.start()
    thread.join()
    # A signal at the thread's end would have come by now.
    time.sleep(0.3)
    assert valkey.answers(var_dir)


def test_a_forked_child_that_ends_leaves_it_running(var_dir: Path) -> None:
    forking = f"import os\n{OWNER}".replace("time.sleep(60)", "os.fork() or sys.exit(); os.wait(); time.sleep(60)")
    owner = subprocess.Popen([sys.executable, "-c", forking, var_dir], cwd=BASE_DIR, stdout=subprocess.PIPE, text=True)
    assert (owner.stdout or sys.stdin).readline() == "1\n"
    time.sleep(0.3)
    assert valkey.answers(var_dir)
    owner.kill()
    owner.wait()


def test_who_shares_it_takes_over_when_its_owner_has_gone(var_dir: Path) -> None:
    owner = start_owner(var_dir)
    assert (owner.stdout or sys.stdin).readline() == "1\n"
    valkey.ensure(var_dir)
    assert not valkey.owned, "or this test means nothing"
    address = valkey.url(var_dir)
    owner.kill()
    owner.wait()
    valkey.ensure(var_dir)
    assert valkey.owned
    assert valkey.url(var_dir) == address


@needs_proc
def test_a_server_that_nobody_owns_is_replaced(var_dir: Path) -> None:
    owner = start_owner(var_dir)
    assert (owner.stdout or sys.stdin).readline() == "1\n"
    (orphan,) = servers(var_dir)
    # Only this way one comes about: its watcher is killed as well, and first.
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):
            if f"\nPPid:\t{orphan}\n" in status.read_text():
                os.kill(int(status.parent.name), signal.SIGKILL)
    owner.kill()
    owner.wait()
    time.sleep(0.3)
    assert servers(var_dir) == [orphan], "or this test means nothing"
    valkey.ensure(var_dir)
    assert orphan not in servers(var_dir)
    assert valkey.answers(var_dir)


def test_a_stranger_on_its_port_is_left_alone_and_learns_nothing(var_dir: Path) -> None:
    address = valkey.url(var_dir)
    with socket.create_server(("127.0.0.1", urlsplit(address).port or 0)) as stranger:
        stranger.settimeout(0.2)
        assert valkey.url(var_dir) != address
        valkey.ensure(var_dir)
        assert valkey.answers(var_dir)
        with pytest.raises(TimeoutError):
            stranger.accept()
    assert urlsplit(valkey.url(var_dir)).password != urlsplit(address).password


def test_a_broken_record_is_written_anew(var_dir: Path) -> None:
    valkey.url(var_dir)
    (var_dir / "valkey" / "url").write_text("")
    valkey.ensure(var_dir)
    assert valkey.answers(var_dir)


def test_a_language_that_this_machine_does_not_have_is_no_matter(
    var_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "xx_XX.UTF-8")
    valkey.ensure(var_dir)
    assert valkey.answers(var_dir)


def test_a_folder_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    tmp_path.joinpath("file").touch()
    with pytest.raises(env.BadSetting, match=r"^VAR_DIR is .*file.*\. Write a folder of yours\.$"):
        valkey.url(tmp_path / "file")


def test_a_server_that_cannot_start_says_where_to_look(var_dir: Path) -> None:
    valkey.ensure(var_dir)
    redis.Redis.from_url(valkey.url(var_dir)).set("a", "b")
    valkey.stop()
    (var_dir / "valkey" / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")
    with pytest.raises(valkey.Failed, match=r"^Valkey has ended with exit code 1, see .*valkey\.log\.$"):
        valkey.ensure(var_dir)


def test_a_damaged_file_is_repaired_by_the_command_that_the_error_names(var_dir: Path) -> None:
    """What was written before the damage is kept; the command needs nothing that is not installed with us."""
    valkey.ensure(var_dir)
    client = redis.Redis.from_url(valkey.url(var_dir))
    for n in range(100):
        client.set(f"key {n}", "x" * 50)
    valkey.stop()
    (file,) = (var_dir / "valkey" / "appendonlydir").glob("*.incr.aof")
    whole = file.read_bytes()
    file.write_bytes(whole[:3000] + bytes(200) + whole[3200:])
    with pytest.raises(valkey.Failed) as failed:
        valkey.ensure(var_dir)
    said, _, command = str(failed.value).partition(" with: ")
    assert said == f"Valkey's file {file} is damaged. Keep what is before the damage"
    assert "\n" not in command
    subprocess.run(command, shell=True, input=b"y\n", stdout=subprocess.DEVNULL, check=True)
    valkey.ensure(var_dir)
    assert client.get("key 0") == b"x" * 50
    assert 20 < client.dbsize() < 100


def test_a_file_whose_end_is_missing_is_no_matter(var_dir: Path) -> None:
    """As a loss of power leaves it."""
    valkey.ensure(var_dir)
    client = redis.Redis.from_url(valkey.url(var_dir))
    client.set("first", "yes")
    client.set("last", "yes")
    valkey.stop()
    (file,) = (var_dir / "valkey" / "appendonlydir").glob("*.incr.aof")
    file.write_bytes(file.read_bytes()[:-7])
    valkey.ensure(var_dir)
    assert client.get("first") == b"yes"
