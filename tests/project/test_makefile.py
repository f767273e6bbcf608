"""The first minutes of a stranger: what `make` says on a bare machine, and locks that hold what they promise."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

BASE_DIR = Path(__file__).resolve().parents[2]
# What a Debian has before anybody has installed anything.
TOOLS = ["sh", "make", "awk", "sed", "env", "dirname", "rm", "ls", "mv", "mkdir", "touch", "mktemp", "tail", "head"]


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """Return the only folder that commands come from."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found, tool
        folder.joinpath(tool).symlink_to(found)
    return folder


def program(folder: Path, name: str, script: str) -> None:
    """Put a program of our own on the path."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def make(bare: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Say `make ...` on the bare machine, in a virtual environment that does not exist yet."""
    return subprocess.run(
        ["make", "--no-print-directory", f"VENV={bare.parent / 'venv'}", *words],
        cwd=BASE_DIR,
        env={"PATH": str(bare), "HOME": str(bare.parent), "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )


def complaint(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return what it complains of, without the line that make itself adds."""
    assert done.returncode != 0
    return [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]


def pins(lock: str) -> dict[str, str]:
    """Return name and version of each package in a lock."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", BASE_DIR.joinpath(lock).read_text(), re.MULTILINE))


def test_make_alone_shows_every_word(bare: Path) -> None:
    shown = make(bare).stdout
    for word in ("run", "user", "test", "test-fast", "test-all", "check", "format", "lock", "clean"):
        assert re.search(rf"^make {word} +\S", shown, re.MULTILINE), word


def test_make_user_says_what_it_was_told(bare: Path) -> None:
    """Only what was said to make: some shells have a NAME of their own. No password is an argument."""
    words = ["NAME=o'brien $(x)", "MOBILE=138 0013 8000", "STAFF=1", "SUPERUSER=0", "PASSWORD=hunter2"]
    done = make(bare, "--dry-run", "user", *words)
    (line,) = [line for line in " ".join(done.stdout.replace("\\\n", " ").split("\n")).split("@") if "run.user" in line]
    said = shlex.split(line[line.index("project.run.user") :])
    assert said == ["project.run.user", "--name=o'brien ", "--mobile=138 0013 8000", "--staff"]
    environment = {"PATH": str(bare), "HOME": str(bare.parent), "NAME": "laptop"}
    plain = subprocess.run(
        ["make", "--dry-run", f"VENV={bare.parent / 'venv'}", "user"],
        cwd=BASE_DIR, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "run.user" in plain.stdout
    assert "laptop" not in plain.stdout


def test_a_missing_python_is_said_in_one_line(bare: Path) -> None:
    (line,) = complaint(make(bare, "run"))
    assert line.startswith("Latchkey needs Python 3.11 or newer. Install it")
    assert "PYTHON=" in line


def test_a_python_that_is_too_old_counts_as_missing(bare: Path) -> None:
    program(bare, "python3", 'case "$2" in *sys*) exit 1 ;; esac')
    (line,) = complaint(make(bare, "run"))
    assert line.startswith("Latchkey needs Python 3.11 or newer.")


def test_a_python_that_is_there_but_does_not_run_is_passed_over(bare: Path) -> None:
    program(bare, "python3", "echo 'not found' >&2; exit 127")
    program(bare, "python3.12", f'exec "{sys.executable}" "$@"')
    found = subprocess.run(
        [BASE_DIR / "bin" / "find-python"], env={"PATH": str(bare), "HOME": str(bare)}, capture_output=True, text=True
    )
    assert found.stdout.strip() == str(bare / "python3.12")
    assert found.stderr == ""


def test_a_named_python_is_not_silently_replaced(bare: Path) -> None:
    program(bare, "python3", f'exec "{sys.executable}" "$@"')
    (line,) = complaint(make(bare, "run", "PYTHON=/no/such/python"))
    assert line.startswith("PYTHON=/no/such/python is no Python 3.11 or newer that runs.")


def test_a_debian_without_venv_is_told_the_package(bare: Path) -> None:
    refuses = 'case "$*" in *venv*|*ensurepip*) echo "No module named ensurepip"; exit 1 ;; esac'
    program(bare, "python3", f'{refuses}\nexec "{sys.executable}" "$@"')
    (line,) = complaint(make(bare, "run"))
    assert f"apt-get install python3.{sys.version_info.minor}-venv" in line


def test_a_folder_that_is_no_virtual_environment_is_left_alone(bare: Path) -> None:
    program(bare, "python3", f'exec "{sys.executable}" "$@"')
    (line,) = complaint(make(bare, "install", f"VENV={bare}"))
    assert line.startswith(f"{bare} is no virtual environment")
    assert bare.joinpath("python3").exists()


@pytest.mark.parametrize("goal", ["help", "install"])
@pytest.mark.parametrize("kind", ["files", "broken", "working"])
def test_nothing_is_removed_that_make_has_not_made(bare: Path, kind: str, goal: str) -> None:
    """Somebody's folder, somebody's environment whose Python is gone, and one that works."""
    program(bare, "python3", f'exec "{sys.executable}" "$@"')
    folder = bare.parent / "somebody"
    folder.mkdir()
    folder.joinpath("thesis.txt").write_text("years of work")
    if kind != "files":
        folder.joinpath("pyvenv.cfg").touch()
        folder.joinpath("bin").mkdir()
        program(folder / "bin", "python", "exit 127" if kind == "broken" else f'exec "{sys.executable}" "$@"')
    kept = sorted(path.name for path in folder.rglob("*"))
    done = make(bare, goal, f"VENV={folder}")
    assert sorted(path.name for path in folder.rglob("*")) == kept
    if goal == "help":
        assert done.returncode == 0, done.stderr
    else:
        (line,) = complaint(done)
        assert line.startswith(f"{folder} is no virtual environment of ours and is not empty.")


@pytest.mark.parametrize("named", [".", "/", "", "my venv", ". /tmp"])
def test_a_venv_that_is_no_folder_to_fill_is_refused(bare: Path, named: str) -> None:
    program(bare, "python3", f'exec "{sys.executable}" "$@"')
    (line,) = complaint(make(bare, "install", f"VENV={named}"))
    assert "Name " in line
    assert BASE_DIR.joinpath("Makefile").exists()


def test_only_a_goal_that_needs_it_makes_a_broken_environment_anew(bare: Path) -> None:
    """One of ours whose Python has been upgraded away."""
    program(bare, "python3", f'exec "{sys.executable}" "$@"')
    folder = bare.parent / "venv"
    folder.joinpath("bin").mkdir(parents=True)
    folder.joinpath("made.stamp").touch()
    program(folder / "bin", "python", "exit 127")
    assert make(bare, "help").returncode == 0
    assert folder.joinpath("bin", "python").read_text().endswith("exit 127\n")
    assert make(bare, str(folder / "made.stamp")).returncode == 0
    assert subprocess.run([folder / "bin" / "python", "-c", ""], check=False).returncode == 0
    assert not folder.joinpath("making.stamp").exists()


def test_an_environment_whose_making_was_cut_off_is_made_anew(bare: Path) -> None:
    program(bare, "python3", f'exec "{sys.executable}" "$@"')
    folder = bare.parent / "venv"
    folder.mkdir()
    folder.joinpath("making.stamp").touch()
    folder.joinpath("half").touch()
    assert make(bare, str(folder / "made.stamp")).returncode == 0
    assert not folder.joinpath("half").exists()


def test_a_missing_chromium_is_said_in_one_line_with_the_command(bare: Path) -> None:
    program(bare, "id", "echo 1000")
    (line,) = complaint(make(bare, "test"))
    assert "sudo apt-get install chromium" in line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["test"], '-n auto --dist loadfile --no-loadscope-reorder -m "not long"'),
        (["test", "tests/accounts"], "-n auto --dist loadfile --no-loadscope-reorder tests/accounts"),
        (
            ["test", "tests/accounts/test_codes.py"],
            "-n 0 --dist loadfile --no-loadscope-reorder tests/accounts/test_codes.py",
        ),
        (["test", "FILE=tests/docs/test_docs.py::test_x"], "--no-loadscope-reorder tests/docs/test_docs.py::test_x"),
        (
            ["test", "ARGS=-k cooldown", "JOBS=6"],
            '-n 6 --dist loadfile --no-loadscope-reorder -m "not long" -k cooldown',
        ),
        (["test-fast"], '-m "not browser and not long"'),
        (["test-fast", "tests/tasks", "tests/pages"], '-m "not browser and not long" tests/tasks tests/pages'),
    ],
)
def test_what_to_test_can_be_chosen(bare: Path, words: list[str], said: str) -> None:
    """As a goal or by its name; what is chosen is tested whole, without what is long only where all is."""
    done = make(bare, "--dry-run", *words)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if " -m pytest " in line]
    assert " ".join(line.split()).endswith(said)


def test_a_chosen_file_is_nothing_to_make(bare: Path) -> None:
    done = make(bare, "--dry-run", "test", "tests/accounts", "tests/accounts/test_codes.py::test_x")
    assert done.returncode == 0, done.stderr
    assert "Nothing to be done" not in done.stdout + done.stderr
    # By itself it is no word of ours.
    assert make(bare, "--dry-run", "tests/nowhere").returncode != 0


def progress(bare: Path, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Have bin/with-progress run a pip of our own, without a terminal."""
    program(bare, "pip", script)
    return subprocess.run(
        [BASE_DIR / "bin" / "with-progress", "Installing", "3", "pip"],
        env={"PATH": f"{bare}:/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("ends_with", "shown"), [(0, ""), (3, "Collecting c==3\nERROR: no room\n")])
def test_an_installation_says_how_far_it_is(bare: Path, ends_with: int, shown: str) -> None:
    """Without a terminal a line now and then; what the command itself says only when it fails."""
    done = progress(
        bare, f"for n in a==1 b==2 c==3; do echo Collecting $n; done; echo ERROR: no room; exit {ends_with}"
    )
    assert done.returncode == ends_with
    *lines, last = done.stdout.splitlines()
    if not ends_with:
        assert re.fullmatch(r"Installing: done in \d+ s", last)
    else:
        lines.append(last)
    assert lines == ["Installing: 1 of 3, a", "Installing: 3 of 3, c"]
    assert done.stderr.endswith(shown)
    assert bool(done.stderr) is bool(ends_with)


def test_an_installation_says_how_much_it_has_fetched_and_is_not_silent_while_it_unpacks(bare: Path) -> None:
    """pip says nothing for half a minute then, and its own words about sizes are not shown."""
    venv = bare.parent / "filled"
    script = r"""
for n in a==1 b==2 c==3; do echo Collecting $n; echo "  Downloading $n.whl (1.5 MB)"; done
echo "  Downloading d.whl (345 kB)"; echo "  Using cached e.whl (9.0 MB)"
mkdir -p "$PROGRESS_INTO/lib/python3.11/site-packages/pip.dist-info"
echo "Installing collected packages: a, b, c"
sleep 2
mkdir "$PROGRESS_INTO/lib/python3.11/site-packages/a.dist-info"
sleep 10
"""
    done = progress(bare, script, PROGRESS_INTO=str(venv))
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    assert lines == [
        "Installing: 1 of 3, a",
        "Installing: 3 of 3, 3.0 MB fetched, c",
        "Installing: 4.8 MB fetched, unpacking 3",
        "Installing: unpacked 1 of 3",
    ]
    assert re.fullmatch(r"Installing: done in 1\d s", last)


@pytest.mark.parametrize(("lock", "goal"), [("requirements.lock", "runtime"), ("requirements-dev.lock", "dev")])
def test_an_installation_says_first_what_it_fetches_and_how_much(bare: Path, lock: str, goal: str) -> None:
    program(bare, "python3", f'exec "{sys.executable}" "$@"')
    folder = bare.parent / "venv"
    folder.joinpath("bin").mkdir(parents=True)
    folder.joinpath("made.stamp").touch()
    program(folder / "bin", "python", f"""[ "$1" = -c ] && exec "{sys.executable}" "$@"; echo Collecting a==1""")
    for tool in ("cat", "kill", "sleep"):
        bare.joinpath(tool).symlink_to(shutil.which(tool) or "/bin/false")
    done = make(bare, str(folder / f"{goal}.stamp"))
    assert done.returncode == 0, done.stderr
    first = done.stdout.splitlines()[0]
    assert (found := re.fullmatch(r"Installing .+: (\d+) packages, about (\d+) MB the first time", first)), first
    # One is there in two versions, for different machines.
    assert len(pins(lock)) <= int(found[1]) <= len(pins(lock)) + 2
    if goal == "runtime":
        # A wheel is packed: to a third, as a rule.
        files = [file for name in pins(lock) if (file := installed_bytes(name))]
        assert len(files) > 30, "or this test means nothing"
        assert 0.2 < int(found[2]) * 1e6 / sum(files) < 0.6


def installed_bytes(name: str) -> int:
    """Return how large the files of a package are that came in its wheel, 0 if it is not installed here."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        return sum(file.size or 0 for file in metadata.files(name) or ())
    return 0


def test_translations_are_compiled(bare: Path) -> None:
    prepared = Path(sys.prefix)
    if not prepared.joinpath("runtime.stamp").exists():
        pytest.skip("this Python is not from a folder that `make` has prepared")
    catalogue = bare.parent / "django.po"
    catalogue.write_text(
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\nmsgid "Code"\nmsgstr "验证码"\n'
    )
    done = make(bare, str(catalogue.with_suffix(".mo")), f"VENV={prepared}")
    assert done.returncode == 0, done.stderr
    assert "验证码".encode() in catalogue.with_suffix(".mo").read_bytes()


def test_the_locks_are_in_step_with_pyproject() -> None:
    project = tomllib.loads(BASE_DIR.joinpath("pyproject.toml").read_text())["project"]
    runtime, dev = pins("requirements.lock"), pins("requirements-dev.lock")
    wanted = [(runtime, word) for word in project["dependencies"]]
    wanted += [(dev, word) for word in project["optional-dependencies"]["dev"]]
    for lock, word in wanted:
        requirement = Requirement(word)
        version = lock.get(canonicalize_name(requirement.name))
        assert version is not None, f"{word}: say `make lock`"
        assert requirement.specifier.contains(version), f"{word}: say `make lock`"
    assert runtime.items() <= dev.items()


def test_the_locks_name_no_place_to_fetch_from() -> None:
    for lock in ("requirements.lock", "requirements-dev.lock"):
        text = BASE_DIR.joinpath(lock).read_text()
        assert len(pins(lock)) > 30, "or this test means nothing"
        assert "://" not in text
        assert not re.search(r"^\s*(-i|-f|--index|--extra|--find|\.|/)", text, re.MULTILINE)
        # Every package has its hashes.
        assert len(re.findall(r"^\S+==.*\\\n +--hash=sha256:", text, re.MULTILINE)) == len(
            re.findall(r"^\w", text, re.MULTILINE)
        )


def test_the_helpers_can_be_run() -> None:
    for helper in [*BASE_DIR.joinpath("bin").iterdir(), BASE_DIR / ".ci" / "run"]:
        assert os.access(helper, os.X_OK), helper


# --- What a site's own apps need ---


def wheel(folder: Path, name: str, version: str) -> None:
    """Write a wheel with one module in it, which pip can install without an index."""
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}.py", f"version = {version!r}\n")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clone whose environment is there, as if what Latchkey needs had just been installed."""
    clone = tmp_path_factory.mktemp("clone")
    shutil.copytree(BASE_DIR / "bin", clone / "bin")
    for name in ("Makefile", ".gitignore", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(BASE_DIR / name, clone)
    done = subprocess.run([sys.executable, "-m", "venv", clone / ".venv"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip("this Python has no venv")
    for stamp in ("made.stamp", "runtime.stamp"):
        clone.joinpath(".venv", stamp).touch()
    return clone


def make_in(clone: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Say `make ...` in the clone, with no index of packages."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(clone), "LANG": "C.UTF-8", "PIP_NO_INDEX": "1"}
    return subprocess.run(
        ["make", "--no-print-directory", *words], cwd=clone, env=environment, capture_output=True, text=True
    )


def test_what_a_sites_own_apps_need_is_installed_beside_what_latchkey_needs(clone: Path) -> None:
    """With `make install`, once; again when the file has changed; never by a clone that has none."""
    assert make_in(clone, "install").returncode == 0
    assert not clone.joinpath(".venv", "site.stamp").exists()
    wheel(clone, "shopping", "1.0")
    requirements = clone / "site-requirements.txt"
    requirements.write_text("./shopping-1.0-py3-none-any.whl\n")
    done = make_in(clone, "install")
    assert done.returncode == 0, done.stderr
    assert "what your apps need (site-requirements.txt)" in done.stdout
    python = [str(clone / ".venv" / "bin" / "python"), "-c", "import shopping; print(shopping.version)"]
    assert subprocess.run(python, capture_output=True, text=True).stdout == "1.0\n"
    assert "Installing" not in make_in(clone, "install").stdout

    wheel(clone, "shopping", "2.0")
    requirements.write_text("./shopping-2.0-py3-none-any.whl\n")
    os.utime(requirements, (time.time() + 5,) * 2)
    assert make_in(clone, "install").returncode == 0
    assert subprocess.run(python, capture_output=True, text=True).stdout == "2.0\n"


def test_a_sites_own_apps_cannot_change_a_version_that_latchkey_needs(clone: Path) -> None:
    wheel(clone, "django", "1.0")
    requirements = clone / "site-requirements.txt"
    requirements.write_text("./django-1.0-py3-none-any.whl\n")
    os.utime(requirements, (time.time() + 10,) * 2)
    done = make_in(clone, "install")
    assert done.returncode != 0
    assert f"django=={pins('requirements.lock')['django']}" in done.stderr
    requirements.unlink()


def test_what_a_site_needs_is_no_part_of_our_repository() -> None:
    assert "/site-requirements.txt" in BASE_DIR.joinpath(".gitignore").read_text().splitlines()
