"""The bench itself: what it says of a figure, that it sees when something else was measured, and when it says no."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from bench import client, plot, profile, report, smoke
from bench.cli import GROUPS
from bench.figures import Figure, Pace
from tests.support import services
from tests.support.stack import ROOT, Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.sites import Site


def figure(*values: float, target: float = 2.0, bound: str = "at least", name: str = "it", unit: str = "×") -> Figure:
    """Return a figure."""
    return Figure(name, target, cast("Any", bound), list(values), unit)


def test_the_middle_round_decides() -> None:
    assert figure(1.0, 9.0, 2.0).reached
    assert not figure(1.0, 9.0, 1.9).reached
    assert figure(1.0, 9.0, 2.0, bound="at most").reached
    assert not figure(1.0, 9.0, 2.1, bound="at most").reached


def test_every_figure_has_its_line_and_its_bar() -> None:
    figures = [figure(1.0, 2.0, 3.0, name="a <thing>"), figure(0.0, bound="at most", unit="")]
    table = report.table(figures).splitlines()
    assert table[2:] == ["| a <thing> | 2× | 1 .. 3 | ≥ 2× | reached |", "| it | 0 |  | ≤ 2 | reached |"]
    assert plot.svg(figures).count("a &lt;thing&gt;") == 1


def test_the_smoke_asks_for_seventy_per_cent() -> None:
    assert smoke.holds(figure(1.4))
    assert not smoke.holds(figure(1.39))
    assert smoke.holds(figure(2.8, bound="at most"))
    assert not smoke.holds(figure(2.9, bound="at most"))


def test_the_smoke_says_nothing_of_times() -> None:
    assert smoke.holds(figure(99.0, bound="at most", unit=" s"))
    assert smoke.holds(figure(1.0, target=150, unit="/s"))


def test_what_is_not_there_yet_has_a_floor_of_its_own_with_a_reason() -> None:
    for name, (value, why) in smoke.NOT_YET.items():
        # The name is one that the bench still gives.
        words = name.split(", ")[0]
        assert any(words in path.read_text() for path in (ROOT / "bench").glob("*.py") if path.name != "smoke.py"), name
        assert why
        assert smoke.floor(figure(1.0, name=f"{name}, and more"))[0] == value


class Group:
    """Figures that are measured more than once."""

    pace = smoke.SHORT

    def __init__(self, *moments: float | None) -> None:
        """Take what each time comes to; None is a spoiled one."""
        self.moments = list(moments)
        self.paces: list[Pace] = []

    def measure(self) -> list[Figure]:
        """Something."""
        self.paces.append(self.pace)
        now = self.moments.pop(0)
        if now is None:
            raise client.Spoiled("503")
        return [figure(now)]


@pytest.mark.parametrize(
    ("moments", "found"), [([0.1, 2.0], 2.0), ([None, 2.0], 2.0), ([0.1, None, 2.0], 2.0), ([0.1, 0.2, 0.3], 0.3)]
)
def test_a_figure_that_does_not_hold_is_measured_again_for_longer(moments: list[float | None], found: float) -> None:
    group = Group(*moments)
    assert [each.median for each in smoke._held(group, "measure")] == [found]
    assert group.paces == [smoke.SHORT, smoke.AGAIN, smoke.AGAIN][: len(moments)]


def test_every_group_can_be_asked_for() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    said = done.stdout.replace("\n", " ")
    assert len(GROUPS) > 5
    assert all(name in said for name in GROUPS)


def test_a_profile_is_told_by_own_time_and_by_all_below() -> None:
    lines = profile.table("a;b 3\na 1\n").splitlines()
    assert lines[1].split() == ["75.0%", "75.0%", "b"]
    assert lines[2].split() == ["25.0%", "100.0%", "a"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site to drive to."""
    if not shutil.which("wrk"):
        services.missing("there is no wrk", "Debian: apt-get install wrk")
    folder = tmp_path_factory.mktemp("bench")
    with Stack(folder, workers=0) as stack:
        yield cast("Site", SimpleNamespace(name="it", folder=folder, url=stack.url, stack=stack))


def test_requests_are_counted_each_with_a_number_of_its_own(site: Site) -> None:
    road = client.Road(site, "/code/", 202, "mobile=138%08d", "/login/", {"HX-Request": "true", "Accept": "*/*"})
    load = client.drive(road, seconds=1, connections=2)
    rows = cast("Any", site).stack.deliveries()
    assert load.answers > 0
    assert len({row["mobile"] for row in rows}) == len(rows) >= load.answers
    assert 0 < load.p50 <= load.p99


def test_another_answer_than_was_meant_spoils_a_round(site: Site) -> None:
    road = client.Road(site, "/no/such/page/", 200, headers={"Accept": "text/html"})
    with pytest.raises(client.Spoiled, match="was not answered with 200"):
        client.drive(road, seconds=1, connections=2)


def test_the_peers_lock_holds_what_the_bench_asks_for() -> None:
    lock = (ROOT / "bench" / "requirements.lock").read_text()
    wanted = [line.split("~")[0] for line in (ROOT / "bench" / "requirements.txt").read_text().splitlines() if line]
    for name in (name for name in wanted if not name.startswith("#")):
        assert f"\n{name}==" in lock, f"{name}: say `make lock`"
    assert "://" not in lock


def test_the_provider_answers_as_the_gateway_expects(tmp_path: Path) -> None:
    from bench.provider import REPLY
    from tasks.gateways.yuntongxun import CODES

    said = json.loads(REPLY % b"0" * 1)
    assert said["statusCode"] in CODES
    assert said["templateSMS"]["smsMessageSid"]


def test_make_knows_its_words() -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for word in ("bench", "bench-smoke", "profile"):
        assert f"\nmake {word} " in shown
