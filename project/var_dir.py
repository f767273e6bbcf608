"""VAR_DIR, the folder for everything that the site keeps: a starting process prepares it, the settings only read it."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from project import env
from project.run import valkey

BASE_DIR = Path(__file__).resolve().parent.parent


def path() -> Path:
    """Return the folder, which may not exist yet."""
    return Path(env.text("VAR_DIR", str(BASE_DIR / "var"))).resolve()


def prepare() -> None:
    """Make what a first start needs: the folder, a secret key under DEBUG, the address of the embedded Valkey.

    Every program of the site calls this before Django reads the settings: manage.py, asgi.py, tasks/app.py and
    project.run. Importing the settings alone, as an editor or mypy does, writes nothing.
    """
    env.read_file()
    folder = path()
    try:
        _close_to_others(folder)
        if env.flag("DEBUG") and not env.text("SECRET_KEY"):
            _make_secret_key(folder)
    except OSError as error:
        env.refuse("VAR_DIR", f"is {folder}, where we cannot write ({error.strerror})", "Write a folder of yours.")
    if not env.text("REDIS_URL"):
        valkey.url(folder)


def secret_key() -> str:
    """Return the key that `prepare` has made. Without one, return a key that nobody else will ever know."""
    try:
        return (path() / "secret_key").read_text()
    except OSError:
        return secrets.token_urlsafe(50)


def _close_to_others(folder: Path) -> None:
    """Make a folder if there is none, and close it to other users of the machine: keys and numbers are kept there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    # A sticky folder is shared on purpose, as /tmp is.
    if found.st_uid == os.geteuid() and found.st_mode & 0o007 and not found.st_mode & stat.S_ISVTX:
        folder.chmod(stat.S_IMODE(found.st_mode) & ~0o007)


def _make_secret_key(folder: Path) -> None:
    """Make a key if there is none. Two first starts at once agree: each links a finished file, and one link wins."""
    file = folder / "secret_key"
    if file.exists():
        return
    fresh = folder / f"secret_key.{os.getpid()}"
    try:
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(50))
        with suppress(FileExistsError):
            file.hardlink_to(fresh)
    finally:
        fresh.unlink(missing_ok=True)
