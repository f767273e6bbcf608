"""Writes into docs/security.md which tests show what: `python -m tests.tools.threat_table`, after a change.

A test says in its docstring which threats it is about. A row that no test is about keeps what it says.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "security.md"
ROW = re.compile(r"^\| (T-[0-9]+) \|(.*)\| ([^|]*) \|$", re.MULTILINE)


def docstrings(path: Path) -> dict[str, str]:
    """Return the tests of a file, with their docstrings."""
    found = ast.walk(ast.parse(path.read_text()))
    functions = [node for node in found if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    return {function.name: ast.get_docstring(function) or "" for function in functions}


def shown_by() -> dict[str, list[str]]:
    """Return by threat the tests that say they are about it, as `file::function`."""
    found: dict[str, list[str]] = {}
    for path in sorted(ROOT.joinpath("tests").rglob("test_*.py")):
        for name, docstring in docstrings(path).items():
            for threat in dict.fromkeys(re.findall(r"\bT-[0-9]+\b", docstring)):
                found.setdefault(threat, []).append(f"{path.relative_to(ROOT)}::{name}")
    return found


def written(page: str) -> str:
    """Return the page with the tests of today in every row."""
    tests = shown_by()

    def row(match: re.Match[str]) -> str:
        threat, said, shown = match.groups()
        names = "<br>".join(f"`{name}`" for name in tests.get(threat, []))
        return f"| {threat} |{said}| {names or shown} |"

    return ROW.sub(row, page)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
