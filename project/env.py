"""Reads environment variables. A wrong value is refused with a line that says what to write instead."""

from __future__ import annotations

import ipaddress
import os
import stat
import sys
from pathlib import Path
from typing import NoReturn

from dotenv import dotenv_values, load_dotenv

from project import wrong_settings

BASE_DIR = Path(__file__).resolve().parent.parent
BadSetting = wrong_settings.BadSetting


def refuse(name: str, said: str, write: str) -> NoReturn:
    """Stop the start. `said` is what is wrong, `write` what to write instead. Neither may contain a secret.

    The message has a line for every other wrong setting as well, so that all can be mended before the next start.
    """
    raise wrong_settings.with_others(BadSetting(f"{name} {said}. {write}", name), file_path())


def file_path() -> str:
    """Return the path of the file of settings, which need not exist; empty for none.

    ENV_FILE names another file than .env; set but empty, as the tests have it, it means none.
    """
    return os.environ.get("ENV_FILE", str(BASE_DIR / ".env"))


def read_file() -> str:
    """Read the file of settings, if there is one, and return its path. A variable that is set stays as it is."""
    path = file_path()
    if path:
        load_dotenv(path)
    return path


def warn(line: str) -> None:
    """Print a line on standard error, once: the processes that this one starts do not repeat it."""
    if wrong_settings.is_searching():
        return
    warned = os.environ.get("LATCHKEY_WARNED", "").splitlines()
    if line not in warned:
        os.environ["LATCHKEY_WARNED"] = "\n".join([*warned, line])
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def warn_of_readers(path: str) -> None:
    """Warn if other users of this machine can read a file of settings."""
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        warn(f"{path} holds secrets, and other users of this machine can read it. Run: chmod 600 {path}")


def is_loopback(host: str) -> bool:
    """Tell whether a host, by name or address, can be reached from this machine only."""
    host = host.lower().strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        # RFC 6761, 6.3: names under it never leave the machine either.
        return host == "localhost" or host.endswith(".localhost")


def ascii_host(name: str) -> str:
    """Return a host name in ASCII, as a browser asks for it (RFC 5891, 4); empty when it has no such form."""
    try:
        return name.encode("idna").decode("ascii")
    except UnicodeError:
        return ""


def text(name: str, default: str = "") -> str:
    """Return a variable's text, stripped; empty counts as not set."""
    return wrong_settings.value(name) or default


def in_file(name: str) -> str:
    """Return what the file of settings says, whatever the environment does; empty for nothing."""
    path = file_path()
    return ((dotenv_values(path).get(name) if path else None) or "").strip()


def flag(name: str, *, default: bool = False) -> bool:
    said = text(name).lower()
    if not said:
        return default
    if said in {"1", "true", "yes", "on"}:
        return True
    if said in {"0", "false", "no", "off"}:
        return False
    refuse(name, f"is {said!r}, which is neither yes nor no", f"Write {name}=1 or {name}=0.")


def number(name: str, default: int, *, least: int = 0, most: int | None = None, debug: int | None = None) -> int:
    """Return a whole number between `least` and `most`, both included. `debug` is the default where DEBUG is on."""
    said = text(name)
    bounds = f"at least {least}" if most is None else f"from {least} to {most}"
    try:
        value = int(said) if said else default if debug is None or not flag("DEBUG") else debug
    except ValueError:
        refuse(name, f"is {said!r}, which is not a whole number", f"Write a number {bounds}, such as {name}={default}.")
    if value < least or (most is not None and value > most):
        refuse(name, f"is {value}", f"Write a number {bounds}, such as {name}={default}.")
    return value


def words(name: str, default: str = "") -> list[str]:
    """Return a comma-separated list."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def choice(name: str, default: str, known: list[str]) -> str:
    said = text(name, default)
    if said not in known:
        refuse(name, f"is {said!r}", f"Write one of: {', '.join(known)}.")
    return said
