"""docs/security.md is complete: every threat and every requirement has its row, and every test that it names exists."""

from __future__ import annotations

import re

import pytest

from tests.tools import threat_table
from tests.tools.threat_table import ROOT

PAGE = threat_table.PAGE.read_text()
# From 96 on: what was found later. Numbers that are left out have no row yet.
THREATS = [*range(1, 101), 102, 106, 107]
# OWASP ASVS 5.0.0: everything that is asked for at level 1.
LEVEL_1 = (
    "1.2.1 1.2.2 1.2.3 1.2.4 1.2.5 1.3.1 1.3.2 1.5.1 2.1.1 2.2.1 2.2.2 2.3.1 3.2.1 3.2.2 3.3.1 3.4.1 3.4.2 3.5.1 3.5.2 "
    "3.5.3 4.1.1 4.4.1 5.2.1 5.2.2 5.3.1 5.3.2 6.1.1 6.2.1 6.2.2 6.2.3 6.2.4 6.2.5 6.2.6 6.2.7 6.2.8 6.3.1 6.3.2 6.4.1 "
    "6.4.2 7.2.1 7.2.2 7.2.3 7.2.4 7.4.1 7.4.2 8.1.1 8.2.1 8.2.2 8.3.1 9.1.1 9.1.2 9.1.3 9.2.1 10.4.1 10.4.2 10.4.3 "
    "10.4.4 10.4.5 11.3.1 11.3.2 11.4.1 12.1.1 12.2.1 12.2.2 13.4.1 14.2.1 14.3.1 15.1.1 15.2.1 15.3.1"
).split()
# The rows of levels 2 and 3 that a login by SMS is asked for.
MORE = (
    "1.3.3 1.5.2 2.1.3 2.3.2 2.3.3 2.3.4 2.4.1 2.4.2 3.3.2 3.3.3 3.3.4 3.4.3 3.4.4 3.4.5 3.4.6 3.4.7 3.4.8 3.7.2 4.1.3 "
    "4.2.1 4.4.2 4.4.3 4.4.4 6.1.3 6.2.9 6.2.10 6.2.11 6.2.12 6.3.3 6.3.4 6.3.5 6.3.7 6.3.8 6.4.3 6.5.1 6.5.2 6.5.3 "
    "6.5.4 6.5.5 6.6.1 6.6.2 6.6.3 7.1.1 7.1.2 7.3.1 7.3.2 7.4.3 7.4.5 7.5.1 7.5.2 8.3.2 11.2.4 11.4.2 11.5.1 12.3.1 "
    "12.3.2 13.1.2 13.1.3 13.2.1 13.2.2 13.2.3 13.2.6 13.3.1 13.4.2 13.4.4 13.4.5 13.4.6 14.3.2 14.3.3 15.2.2 15.3.4 "
    "15.3.5 15.4.2 15.4.4 16.2.1 16.2.2 16.2.5 16.3.1 16.3.2 16.3.3 16.3.4 16.4.1 16.5.1 16.5.2 16.5.3 16.5.4"
).split()
STATES = ("met", "partly", "refused", "not applicable", "the operator's")


def section(title: str) -> str:
    """Return what stands under a heading."""
    return PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def rows(title: str) -> list[list[str]]:
    """Return the cells of a section's table, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def named(text: str) -> list[tuple[str, str]]:
    """Return every test that a text names: its file and its function."""
    return re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", text)


def test_every_threat_has_a_row_with_its_tests_or_a_reason() -> None:
    table = rows("Threats")
    assert [cells[0] for cells in table] == [f"T-{number}" for number in THREATS]
    for threat, what, done, shown in table:
        assert what.endswith("."), threat
        assert done.endswith("."), threat
        # Where there is none, it says why.
        assert named(shown) or shown.startswith("No test:"), f"{threat} is not shown by anything"
        assert "still to be written" not in shown, threat


def test_a_threat_s_row_names_all_tests_that_say_they_are_about_it_and_no_other() -> None:
    stale = [line for line in threat_table.written(PAGE).splitlines() if line not in PAGE.splitlines()]
    assert stale == [], "say `python -m tests.tools.threat_table`"


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(tests/[\w/]+\.py::test_\w+)`", PAGE))))
def test_every_test_that_the_page_names_exists(name: str) -> None:
    file, function = name.split("::")
    assert function in threat_table.docstrings(ROOT / file)


def test_every_requirement_of_level_1_has_a_row() -> None:
    assert len(LEVEL_1) == 70, "or this test means nothing"
    table = rows("OWASP ASVS 5.0.0, level 1")
    assert [cells[0] for cells in table] == LEVEL_1
    for number, _what, state, where in table:
        assert state.startswith(STATES), number
        # Level 1 is claimed whole.
        assert not state.startswith(("partly", "refused")), number
        assert where, number


def test_every_row_of_the_other_levels_says_what_is_and_why_not() -> None:
    table = rows("OWASP ASVS 5.0.0, levels 2 and 3")
    assert sorted(cells[0] for cells in table) == sorted(MORE)
    for number, level, _what, state, why in table:
        assert level in {"2", "3"}, number
        assert state.startswith(STATES), number
        assert why, number


def test_every_row_of_nists_rules_says_what_is_and_why_not() -> None:
    table = rows("NIST SP 800-63B-4")
    assert len(table) >= 20
    for number, _what, state, why in table:
        assert state.startswith(STATES), number
        assert why, number


def test_every_decision_is_there() -> None:
    assert [cells[0] for cells in rows("Decisions")] == [f"D{number}" for number in range(1, 7)]


def test_a_threat_that_the_page_points_to_has_a_row() -> None:
    for number in re.findall(r"\bT-([0-9]+)\b", PAGE):
        assert int(number) in THREATS


def test_a_limit_has_the_default_that_the_example_file_shows() -> None:
    example = ROOT.joinpath(".env.example").read_text()
    table = rows("Limits")
    assert len(table) > 10
    for setting, default, *_ in table:
        assert re.search(rf"^# {setting.strip('`')}={default}$", example, re.MULTILINE), setting


def test_a_link_within_the_page_leads_somewhere() -> None:
    headings = {
        re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    }
    for anchor in re.findall(r"\]\(#([^)]+)\)", PAGE):
        assert anchor in headings, anchor
