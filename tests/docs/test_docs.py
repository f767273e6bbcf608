"""The documents are true: what they name exists, what exists is named, and what they tell to do works."""

from __future__ import annotations

import importlib.util
import itertools
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.core.management import get_commands
from django.urls import Resolver404, resolve
from django.utils import timezone
from dotenv import dotenv_values
from packaging.requirements import Requirement

from accounts.routing import websocket_urlpatterns
from project.broker import graceful
from project.run import runner
from tasks import delivery
from tasks.delivery import transitions
from tasks.gateways import Answer, Outcome, Reason
from tasks.models import Attempt, Delivery, State
from tests.support import own_sites
from tests.support.numbers import number
from tests.support.own_sites import listings
from tests.support.stack import ROOT, Stack
from tests.tools import settings_reference
from tests.tools.settings_reference import EXAMPLE, SETTING, settings_read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

README, CHINESE = ROOT / "README.md", ROOT / "README.zh.md"
PAGES = [README, CHINESE, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
IDS = [str(page.relative_to(ROOT)) for page in PAGES]
# From each of these every page can be found.
DOORS = [README, CHINESE, ROOT / "docs" / "README.md"]
# Written for other programs or for a reader's own app.
SOCKETS = {f"/{route.pattern}" for route in websocket_urlpatterns}
FOREIGN_PATHS = ("/etc/", "/srv/", "/notes/", "/guestbook/")


def project() -> dict[str, Any]:
    """Return the project's table of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text())["project"]
    return table


def code(page: Path) -> list[str]:
    """Return everything that a page sets as code: blocks and words."""
    text = page.read_text()
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [*blocks, *re.findall(r"`([^`\n]+)`", rest)]


# --- Settings ---


def test_every_setting_is_explained_in_the_example_file_and_none_that_does_not_exist() -> None:
    read = settings_read()
    assert {"SECRET_KEY", "SMS_COOLDOWN", "YUNTONGXUN_ACCOUNT_SID"} <= set(read), "or this test means nothing"
    shown = [name for name, _ in SETTING.findall(EXAMPLE.read_text())]
    assert sorted(shown) == sorted(read)


def test_the_example_file_shows_the_defaults() -> None:
    shown = dict(SETTING.findall(EXAMPLE.read_text()))
    # The dev phone is the default that production refuses, so production's own choice stands there.
    for name, default in settings_read().items():
        if default and name != "SMS_GATEWAYS":
            assert shown[name] == default, name


def test_the_example_file_sets_nothing_as_it_is_and_can_be_read_with_every_line_opened(tmp_path: Path) -> None:
    assert dotenv_values(EXAMPLE) == {}
    opened = tmp_path / "env"
    opened.write_text(SETTING.sub(r"\1=\2", EXAMPLE.read_text()))
    assert set(dotenv_values(opened)) == set(settings_read())


def test_each_setting_has_a_line_of_words_above_it() -> None:
    for block in EXAMPLE.read_text().split("\n\n"):
        lines = block.splitlines()
        if any(SETTING.match(line) for line in lines):
            assert not SETTING.match(lines[0]), lines[0]


def test_the_page_of_settings_says_what_the_example_file_says() -> None:
    page = settings_reference.PAGE.read_text()
    assert set(settings_read()) <= set(code(settings_reference.PAGE)), "or this test means nothing"
    assert page == settings_reference.written(), "say: python -m tests.tools.settings_reference"


def test_every_gateway_can_be_found_where_one_is_chosen() -> None:
    paragraph = next(block for block in EXAMPLE.read_text().split("\n\n") if "# SMS_GATEWAYS=" in block)
    for name in settings.GATEWAYS:
        assert f"`{name}`" in paragraph, name


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_a_page_names_no_setting_that_does_not_exist(page: Path) -> None:
    words = r"^([A-Z]+) \?=|\$\(call said,([A-Z]+)\)"
    makefile = set(sum(re.findall(words, ROOT.joinpath("Makefile").read_text(), re.MULTILINE), ()))
    others = {"LC_MESSAGES", "SIGNAL_ERROR", "SQLITE_FULL"}
    known = set(settings_read()) | makefile | {state.name for state in State} | others
    for piece in code(page):
        for name in re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b|^[A-Z]{4,}(?==)", piece, re.MULTILINE):
            assert name in known or hasattr(settings, name), name


# --- Words, addresses, files ---


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_a_page_says_only_words_that_make_knows(page: Path) -> None:
    words = set(re.findall(r"^([a-z-]+):", ROOT.joinpath("Makefile").read_text(), re.MULTILINE))
    for piece in code(page):
        for word in re.findall(r"\bmake ([a-z][a-z-]*)", piece):
            assert word in words, word


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_a_page_gives_only_commands_that_exist(page: Path) -> None:
    for piece in code(page):
        for command in re.findall(r"\bmanage\.py ([a-z_]+)", piece):
            assert command in get_commands(), command
        for module in re.findall(r"\bpython3? -m ([a-z_.]+)", piece):
            assert importlib.util.find_spec(module), module


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_a_page_gives_only_addresses_that_answer(page: Path) -> None:
    pieces = [*code(page), *re.findall(r"<(http://127[^>]+)>", page.read_text())]
    for piece in pieces:
        found = re.fullmatch(r"(?:GET |POST |WS )?(?:http://127\.0\.0\.1:8000)?(/[\w/.-]*)(?:\?\S*)?", piece)
        if found and not found[1].startswith(FOREIGN_PATHS) and found[1] not in SOCKETS:
            try:
                resolve(urlsplit(found[1]).path)
            except Resolver404:
                pytest.fail(f"{piece} does not exist")


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_a_page_points_only_to_files_that_are_there(page: Path) -> None:
    text = page.read_text()
    linked = [page.parent / link for link in re.findall(r"\]\(([^)#:]+)\)", text)]
    linked += [page.parent / link for link in re.findall(r'(?:src|srcset)="([^"]+)"', text) if "{" not in link]
    own = {name for name, _ in listings(page)}
    # A path of ours has a folder of ours, or a name that says it is a file.
    named = [word for word in code(page) if re.fullmatch(r"[\w.-]+(?:/[\w.-]+)+/?|[\w-]+\.(?:py|md|toml|lock)", word)]
    # What is in var/ is there once its command has run.
    tops = {path.name for path in ROOT.iterdir()} - {"var"}
    linked += [ROOT / word for word in named if word not in own and word.split("/")[0] in tops]
    for path in linked:
        assert path.exists(), path


def test_the_pictures_are_small() -> None:
    pictures = list((ROOT / "docs" / "images").glob("*.png"))
    assert pictures, "or this test means nothing"
    for picture in pictures:
        assert picture.stat().st_size < 150_000, picture.name


@pytest.mark.parametrize("door", DOORS, ids=[str(door.relative_to(ROOT)) for door in DOORS])
def test_every_page_can_be_found_from_the_readmes_and_the_map(door: Path) -> None:
    text = door.read_text()
    for page in PAGES:
        assert page == door or f"({os.path.relpath(page, door.parent)})" in text, page.name


def test_both_readmes_show_the_same_commands_links_and_pictures() -> None:
    def shown(page: Path) -> list[set[str]]:
        text = page.read_text()
        # What follows a # is said in each language.
        words = {re.sub(r" +#.*", "", piece) for piece in code(page)}
        links = set(re.findall(r"\]\(([^)]+)\)|<(http[^>]+)>", text)) - {("README.md", ""), ("README.zh.md", "")}
        return [words, {link or address for link, address in links}, set(re.findall(r'="(docs/[^"]+)"', text))]

    said, in_chinese = shown(README), shown(CHINESE)
    assert all(said), "or this test means nothing"
    assert in_chinese == said


# --- Dependencies, version, options, states ---


def test_every_dependency_has_a_line_and_every_line_a_dependency() -> None:
    table = project()
    run_time, dev = ROOT.joinpath("docs/dependencies.md").read_text().split("## To test and check")
    for part, wanted in (
        (run_time, table["dependencies"]),
        (dev, table["optional-dependencies"]["dev"]),
    ):
        lines = re.findall(r"^\| ([a-z0-9-]+) \| \S.* \| \S.* \|$", part, re.MULTILINE)
        assert lines == sorted(Requirement(word).name for word in wanted)


def test_the_changelog_begins_with_our_version() -> None:
    versions = re.findall(r"^## (\S+?),? ", ROOT.joinpath("CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == project()["version"]


def test_the_units_start_the_parts_with_the_options_of_make_run() -> None:
    units = dict(listings(ROOT / "docs" / "operators.md"))
    for name, script, options in (("web", "daphne", runner.DAPHNE), ("worker", "huey_consumer", runner.HUEY)):
        unit = units[f"/etc/systemd/system/latchkey-{name}.service"].replace("\\\n", " ")
        said = re.search(rf"^ExecStart=\S+/{script} (.*)$", unit, re.MULTILINE)
        assert said, name
        words = said[1].split()
        if name == "web":
            assert words[:4] == ["-b", "127.0.0.1", "-p", "8000"]
            del words[:4]
        if name == "worker":
            # A deploy may take its time; Ctrl-C may not.
            options = [
                str(graceful.GRACE_SECONDS) if word == str(runner.WORKER_GRACE_SECONDS) else word for word in options
            ]
        assert words == options


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
@pytest.mark.parametrize("name", ["latchkey", "latchkey-web", "latchkey-worker"])
def test_systemd_understands_the_units(name: str, tmp_path: Path) -> None:
    unit = dict(listings(ROOT / "docs" / "operators.md"))[f"/etc/systemd/system/{name}.service"]
    path = tmp_path / f"{name}.service"
    # The programs are not at home here, and that is all it may complain of.
    path.write_text(re.sub(r"/srv/latchkey/.venv/bin/\w+", "/bin/true", unit).replace("/srv/latchkey", str(tmp_path)))
    done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, check=False)
    assert name not in done.stderr, done.stderr


def test_the_page_on_delivery_knows_every_state_outcome_and_reason() -> None:
    page = code(ROOT / "docs" / "delivery.md")
    for word in [*State.values, *Outcome, *(reason for reason in Reason if reason)]:
        assert word in page, word


@pytest.mark.django_db
def test_the_table_of_answers_says_what_the_code_does(settings: Settings) -> None:
    section = (ROOT / "docs" / "delivery.md").read_text().split("## Which answer leads to which state")[1]
    rows = re.findall(r"^\| `(\w+)` \| .*\| `(\w+)` \| ?(.*?) ?\|$", section, re.MULTILINE)
    said = {(answer, state, following.startswith("next gateway")) for answer, state, following in rows}
    done = set()
    chains = (("phone", ["phone"]), ("phone", ["phone", "yuntongxun"]), ("yuntongxun", ["phone", "yuntongxun"]))
    cases = itertools.product(
        Outcome,
        (Reason.NONE, Reason.OPERATOR, Reason.ROUTE),
        (1, delivery.MAX_ATTEMPTS),
        (None, timezone.now()),
        (False, True),
    )
    for (policy, (gateway, chain)), case in itertools.product(itertools.product(("ask", "resend"), chains), cases):
        outcome, reason, attempts, superseded, unsure = case
        # Each assignment is one more layer over the settings, so not one a case.
        if policy != settings.SMS_AMBIGUOUS or chain != settings.SMS_GATEWAYS:
            settings.SMS_AMBIGUOUS, settings.SMS_GATEWAYS = policy, chain
        row = Delivery.objects.create(
            mobile="+8613800138000", attempts=attempts, superseded_at=superseded, resend_at=timezone.now()
        )
        if unsure:
            Attempt.objects.create(delivery=row, n=1, gateway="phone", outcome=Outcome.UNKNOWN)
        claim = delivery.Claim(row, "token", gateway)
        state, turn = transitions.next_state(row, claim, Answer(outcome, reason))
        done.add((str(outcome), str(state), bool(turn and turn.at_once)))
    assert done == said


# --- One's own site ---


@pytest.fixture(scope="module")
def own_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A clone with two apps of one's own."""
    with own_sites.made_as_documented(tmp_path_factory.mktemp("clone")) as stack:
        yield stack


def test_a_page_of_ones_own_sends_strangers_to_the_login_and_lets_them_in_after_it(own_site: Stack) -> None:
    person = own_site.person()
    asked = person.get("/notes/")
    assert asked.status_code == 302
    assert asked.headers["Location"] == "/login/?next=/notes/"
    mobile = number()
    assert person.ask(mobile).status_code == 202
    code = next(sms.code for sms in own_site.phone.wait_for(1) if sms.to == f"+86{mobile}")
    answer = person.enter(code, next="/notes/")
    assert answer.json()["next"] == "/notes/"
    page = person.get("/notes/").text
    assert f"Signed in with {mobile[:3]} **** {mobile[-4:]}." in page
    assert f"Notes of {person.username}" in page
    # The header is Latchkey's, and live.
    assert f'data-user="{person.username}"' in page
    assert 'ws-connect="/ws/notes/"' in page


def test_a_socket_of_ones_own_shows_what_its_app_knows_and_hears_of_changes(own_site: Stack) -> None:
    person = own_site.person()
    own_site.user("olive", password="correct horse battery")
    person.login("olive", "correct horse battery")
    tab = person.open("/ws/notes/")
    before = int(tab.wait_for("members")["text"].removeprefix("Members: "))
    # A process of its own: the signal's receiver pushes from there.
    own_site.user("peter", password="correct horse battery")
    # Sooner than the page is read again anyway.
    tab.drain(4)
    assert tab.leaves["members"]["text"] == f"Members: {before + 1}"
    tab.close()


def test_the_tutorial_ends_with_a_page_that_asks_who_is_there_and_is_live(own_site: Stack) -> None:
    person = own_site.person()
    assert person.get("/guestbook/").headers["Location"] == "/login/?next=/guestbook/"
    own_site.user("pavel", password="correct horse battery")
    assert person.login("pavel", "correct horse battery", next="/guestbook/").json()["next"] == "/guestbook/"
    page = person.get("/guestbook/").text
    assert "You are pavel." in page
    assert 'data-user="pavel"' in page
    assert 'ws-connect="/ws/"' in page


def test_an_account_without_a_number_is_served_as_well(own_site: Stack) -> None:
    own_site.user("marta", password="correct horse battery")
    person = own_site.person()
    person.login("marta", "correct horse battery")
    assert "Notes of marta" in person.get("/notes/").text


def test_a_base_template_of_ones_own_has_all_that_the_page_needs(own_site: Stack) -> None:
    person = own_site.person()
    page = person.get("/other/").text
    for leaf in ("account", "delivery", "countdown", "live", "connection", "logout", "trouble", "poll"):
        assert page.count(f'id="{leaf}"') == 1, leaf
    assert 'data-csrf-cookie="csrftoken"' in page
    # What it takes from us is served.
    for address in re.findall(r'src="([^"]+)"', page):
        assert person.get(address).status_code == 200, address


def test_the_document_s_app_passes_djangos_own_checks(own_site: Stack) -> None:
    own_site.manage("check", "--fail-level", "WARNING")
    own_site.manage("makemigrations", "--check", "--dry-run")
