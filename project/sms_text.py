"""The wording of a code's text message, where the operator has written it: SMS_TEXT_EN and SMS_TEXT_ZH."""

from __future__ import annotations

from string import Formatter

from project import env

# The code, the minutes it still works, and who the message is from.
PLACEHOLDERS = ("code", "minutes", "name")
_HOW = "Write a sentence with {code}, and {minutes} and {name} if you like, such as {name}: your code is {code}."


def checked(setting: str, written: str) -> str:
    """Return the wording of a language, empty if it is ours.

    Raises `env.BadSetting` if the code has no place in it, or if it would hide the line that binds the code to the
    site's address, which is added behind it and has to be the last (WICG, Origin-bound one-time codes).
    """
    if not written:
        return ""
    try:
        parts = list(Formatter().parse(written))
    except ValueError:
        env.refuse(setting, "has a brace without its other half", _HOW)
    names = [name for _text, name, _spec, _conversion in parts if name is not None]
    for _text, name, spec, conversion in parts:
        if name is not None and (name not in PLACEHOLDERS or spec or conversion):
            env.refuse(setting, f"has {{{name}}}, which means nothing here", _HOW)
    if "code" not in names:
        env.refuse(setting, "has no place for the code", _HOW)
    if any(line.lstrip().startswith("@") for line in written.splitlines()):
        env.refuse(
            setting,
            "has a line that begins with @",
            "Leave it out: the line by which browsers know the site is added at the end.",
        )
    return written


def filled(wording: str, *, code: str, minutes: int, name: str) -> str:
    """Return a wording with its placeholders filled in."""
    return wording.format(code=code, minutes=minutes, name=name)
