"""Where what tests share is kept."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# In code that a test runs in a process of its own as well.
IMPORT = re.compile(
    r"^\s*(?:from|import) +tests\.\S*?\b(?:test_\w+|conftest)\b|^\s*from +(?:tests|\.)\S* +import +.*\btest_"
)


def test_no_test_module_is_imported() -> None:
    """Whatever two of them need has its home in tests/support, or tests/browser."""
    assert IMPORT.match("from tests.accounts.test_codes import code"), "or this test means nothing"
    assert IMPORT.match("from tests.accounts import number, test_codes"), "or this test means nothing"
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for folder in ("tests", "bench")
        for path in sorted(ROOT.joinpath(folder).rglob("*.py"))
        if path != Path(__file__)
        for line in path.read_text().splitlines()
        if IMPORT.match(line)
    ]
    assert found == []
