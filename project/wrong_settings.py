"""Finds all wrong settings at once. The first one ends the reading of the settings; this module looks for the others.

The settings are read again as if the wrong one were right, until nothing is refused any more. So a check is a plain
function that raises, in project/checks.py, in project/env.py, or in a gateway's own settings.py.
"""

from __future__ import annotations

import difflib
import os
import re
import runpy
import secrets
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from dotenv import dotenv_values

SETTINGS = Path(__file__).with_name("settings.py")
# What a setting reads as after it was refused, where its default would be refused as well.
STAND_INS = {
    "DEBUG": "1",
    "SECRET_KEY": secrets.token_urlsafe(50),
    "PUBLIC_ORIGIN": "https://login.example.org",
    # None at all.
    "SMS_GATEWAYS": ",",
}
# What a setting that is not set reads as after it was asked for.
ANYTHING = "0"
# How much a mistyped name must be like a setting's. SMS_COOLDWON is to 0.92, and POSTGRES_PASSWORD to nothing of ours.
ALIKE = 0.84
# Settings that are not read by `value`.
ELSEWHERE = {"ENV_FILE"}

# The names of all settings that were read.
_read: set[str] = set()
# What refused settings read as, while the others are looked for. None: nobody is looking.
_stand_ins: dict[str, str] | None = None


class BadSetting(ImproperlyConfigured, SystemExit):
    """Settings have values that we cannot work with. The message is a line for each that says what to write instead.

    Also a SystemExit, so that every program ends with these lines and without a traceback.
    """

    def __init__(self, message: str, name: str = "") -> None:
        """Take the lines, and the name of the setting that has just been refused: `NAME`, or `NAME or OTHER`."""
        super().__init__(message)
        self.code = message
        self.names = name.split(" or ")


def value(name: str) -> str:
    """Return an environment variable, stripped, or what stands in for it while wrong settings are looked for."""
    _read.add(name)
    said = os.environ.get(name, "").strip()
    return said if _stand_ins is None else _stand_ins.get(name, said)


def is_searching() -> bool:
    """Tell whether the settings are read only to find wrong ones: then nothing is printed."""
    return _stand_ins is not None


def with_others(first: BadSetting, env_file: str) -> BadSetting:
    """Return what to raise in place of the first refusal: all of them, and names in `env_file` that are mistyped."""
    global _stand_ins
    if _stand_ins is not None:
        return first
    _stand_ins = {}
    found: list[BadSetting] = []
    refused: BadSetting | None = first
    try:
        while refused is not None:
            if not _follows_from_others(refused, _stand_ins):
                found.append(refused)
            if not _replace(refused, _stand_ins):
                break
            refused = _read_again()
    finally:
        _stand_ins = None
    return BadSetting("\n".join([*map(str, found), *mistyped(env_file)]))


def mistyped(env_file: str) -> list[str]:
    """Return a line for each name in a file of settings that is no setting and looks like one. Once all were read."""
    known = _read | ELSEWHERE
    names = dotenv_values(env_file, interpolate=False) if Path(env_file).is_file() else ()
    return [
        f"{name} in {env_file} is not a setting. Did you mean {alike[0]}?"
        for name in names
        if name not in known and (alike := difflib.get_close_matches(name.upper(), known, n=1, cutoff=ALIKE))
    ]


def _read_again() -> BadSetting | None:
    """Read the settings, and return what is refused now."""
    try:
        runpy.run_path(str(SETTINGS))
    except BadSetting as refused:
        return refused
    except Exception:  # noqa: BLE001  (what a stand-in brings about is no news; what was found is shown)
        return None
    return None


def _replace(refused: BadSetting, stand_ins: dict[str, str]) -> bool:
    """Have the settings of a refusal read as right ones from now on. Return False if nothing is left to try."""
    # A stand-in may be refused because of another setting, which its line mentions.
    for names in (refused.names, sorted(_mentioned(refused))):
        fresh = [name for name in names if name not in stand_ins]
        for name in fresh:
            stand_ins[name] = STAND_INS.get(name, "" if os.environ.get(name) else ANYTHING)
        if fresh:
            return True
    return False


def _follows_from_others(refused: BadSetting, stand_ins: dict[str, str]) -> bool:
    """Tell whether a setting may only be refused because another one is wrong, which stands in the list already."""
    return any(name in stand_ins for name in (*refused.names, *_mentioned(refused)))


def _mentioned(refused: BadSetting) -> set[str]:
    return set(re.findall(r"\b[A-Z][A-Z0-9_]+\b", str(refused))) & _read
