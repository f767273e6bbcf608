"""Writes docs/settings.md from .env.example: `python -m tests.tools.settings_reference`, after a change there.

Words and groups come from the example file, defaults from project/settings.py. What a gateway needs comes from its own
tasks/gateways/<name>/settings.py, which is written into the example file first.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

from project import gateway_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / ".env.example"
PAGE = ROOT / "docs" / "settings.md"
# A setting in the example file: `# NAME=value` or `NAME=value`, and nothing else that looks like one.
SETTING = re.compile(r"^(?:# )?([A-Z][A-Z0-9_]+)=(.*)$", re.MULTILINE)
GROUP = re.compile(r"^# --- (.+?) ---$", re.MULTILINE)
# The paragraphs on each gateway, which stand behind the one that holds for all, up to the next group.
GATEWAYS = re.compile(r"(?<=\n)(# --- Gateways: [^\n]*\n\n(?:#[^\n]*\n)+)\n.*?(?=# --- )", re.DOTALL)
KNOWN = re.compile(r"^# Gateways: .*$", re.MULTILINE)
# Read from the environment before the settings are: project/env.py and project/var_dir.py.
ELSEWHERE = {"ENV_FILE", "VAR_DIR"}
HEAD = """\
# Settings

Each is an environment variable, or a line in `.env` beside `manage.py`; a real environment variable wins. \
They are read once, at the start. Wrong values stop it, with one line for each that says what to write instead. \
A name in `.env` that is not a setting but looks like one is warned of.

The default is the one in production. An empty cell: there is none, or the words beside it say which. \
*such as*: there is none, and this is what one looks like.

This page is written from [.env.example](../.env.example) by `python -m tests.tools.settings_reference`. \
What production needs at least stands in [operators.md](operators.md).
"""


def gateways() -> dict[str, gateway_settings.Declaration]:
    """Return what each gateway of project/settings.py declares."""
    for node in ast.parse(ROOT.joinpath("project/settings.py").read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(of := node.targets[0], ast.Name) and of.id == "GATEWAYS":
            return gateway_settings.declared(ast.literal_eval(node.value))
    raise LookupError("project/settings.py has no GATEWAYS")


def example() -> str:
    """Return the example file with what the gateways declare."""
    declarations = gateways()
    known = "# Gateways: " + ", ".join(f"`{name}`" for name in declarations) + "."
    paragraphs = [_paragraph(declaration) for declaration in declarations.values() if declaration.settings]
    text = KNOWN.sub(known, EXAMPLE.read_text())
    return GATEWAYS.sub(lambda found: "\n".join([found[1], *paragraphs, ""]), text)


def _paragraph(declaration: gateway_settings.Declaration) -> str:
    """Return a gateway's lines in the example file."""
    lines = [*declaration.words.strip().splitlines(), *(f"{each.name}={each.default}" for each in declaration.settings)]
    return "".join(f"# {line}\n" for line in lines)


def _reads() -> Iterator[tuple[str, str, ast.expr | None]]:
    """Return of each time that project/settings.py reads a setting: how, the setting's name, and its default."""
    for node in ast.walk(ast.parse(ROOT.joinpath("project/settings.py").read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        of, name = node.func.value, node.args[0] if node.args else None
        if isinstance(of, ast.Name) and of.id == "env" and isinstance(name, ast.Constant):
            named = next((word.value for word in node.keywords if word.arg == "default"), None)
            yield node.func.attr, str(name.value), node.args[1] if len(node.args) > 1 else named


def settings_read() -> dict[str, str | None]:
    """Return every setting that project/settings.py reads, with its default as one would write it, None if computed."""
    found: dict[str, str | None] = dict.fromkeys(ELSEWHERE)
    for _how, name, default in _reads():
        found.setdefault(name, None)
        if isinstance(default, ast.Constant):
            value = default.value
            found[name] = str(int(value)) if isinstance(value, bool) else str(value)
    for declaration in gateways().values():
        found |= {setting.name: setting.default or None for setting in declaration.settings}
    return found


def only_examples() -> set[str]:
    """Return the settings that are empty by default, so that what the example file shows of them is an example."""

    def is_empty(default: ast.expr | None) -> bool:
        # `... if DEBUG else ""`: the page is about production.
        in_production = default.orelse if isinstance(default, ast.IfExp) else default
        return in_production is None or (isinstance(in_production, ast.Constant) and not in_production.value)

    return {name for how, name, default in _reads() if how in {"text", "words"} and is_empty(default)}


def written() -> str:
    """Return the page."""
    pieces = GROUP.split(EXAMPLE.read_text())
    return HEAD + "".join(_group(name, text) for name, text in zip(pieces[1::2], pieces[2::2], strict=True))


def _group(name: str, text: str) -> str:
    """Return a group of settings: its heading, what holds for all of it, and a table with a row for each paragraph."""
    title, _colon, rule = name.partition(": ")
    page, rows = [f"\n## {title}\n"], []
    if rule:
        page.append(f"\n{_marked(rule[0].upper() + rule[1:])}\n")
    for block in text.strip().split("\n\n"):
        found = SETTING.findall(block)
        words = _words(SETTING.sub("", block))
        if found:
            names = "<br>".join(f"`{setting}`" for setting, _shown in found)
            defaults = "<br>".join(_default(setting, shown) for setting, shown in found)
            rows.append(f"| {names} | {defaults} | {words.replace('|', chr(92) + '|')} |\n")
        else:
            page.append(f"\n{words}\n")
    return "".join([*page, "\n| Setting | Default | What it does |\n|---|---|---|\n", *rows])


def _default(name: str, shown: str) -> str:
    """Return what stands in the column of defaults."""
    value = settings_read()[name] or shown
    if not value:
        return ""
    return f"such as `{value}`" if name in only_examples() else f"`{value}`"


def _words(comment: str) -> str:
    """Return a comment's lines as one paragraph. A line that is set further in is a command."""
    lines = [line.removeprefix("#").removeprefix(" ") for line in comment.strip().splitlines()]
    return " ".join(f"`{line.strip()}`" if line.startswith("  ") else _marked(line) for line in lines if line.strip())


def _marked(line: str) -> str:
    """Return a line with what is to be typed as it stands set as code."""
    names = "|".join(sorted(settings_read(), key=len, reverse=True))
    # In this order: what is code already, a path, an address, an ending of names, a setting with its value, a blank.
    code = rf"`[^`]+`|<[A-Z_]+>/\S+|\b[a-z]+://[^\s,()]*[\w/]|\.\.\._[A-Z_]+|\b(?:{names})\b(?:=\w*)?|\$?{{\w+}}"
    return re.sub(code, lambda found: f"`{found[0].strip('`')}`", line)


if __name__ == "__main__":
    EXAMPLE.write_text(example())
    PAGE.write_text(written())
