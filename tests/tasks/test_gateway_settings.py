"""A gateway that lacks what it needs stops the start, with the one line that helps."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.provider import Provider
from tests.support.providers.aliyun import Aliyun
from tests.support.providers.tencent import Tencent
from tests.support.providers.twilio import Twilio
from tests.support.stack import ROOT

SECRET = "0123456789abcdefghijklmnopqrstuv"
WHOLE = {
    "yuntongxun": Provider(port=1).settings,
    "aliyun": Aliyun(port=1).settings,
    "tencent": Tencent(port=1).settings,
    "twilio": Twilio(port=1).settings,
}


def start(names: str, changes: dict[str, str]) -> str:
    """Load the settings in a process of their own, and return its last words."""
    environment = {"SMS_GATEWAYS": names}
    for name in names.split(","):
        environment |= WHOLE[name]
    done = subprocess.run(
        [sys.executable, "-c", "import project.settings"],
        env=os.environ | environment | changes,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr.strip().rpartition("\n")[2]


def test_a_chain_with_all_that_it_needs_starts() -> None:
    assert start("yuntongxun,aliyun,tencent,twilio", {"TWILIO_RECEIPT_SECRET": SECRET}) == ""


@pytest.mark.parametrize(
    "need",
    [
        *["YUNTONGXUN_ACCOUNT_SID", "YUNTONGXUN_AUTH_TOKEN", "YUNTONGXUN_APP_ID"],
        *["ALIYUN_ACCESS_KEY_ID", "ALIYUN_ACCESS_KEY_SECRET", "ALIYUN_SIGN_NAME", "ALIYUN_TEMPLATE_CODE"],
        *["TENCENT_SECRET_ID", "TENCENT_SECRET_KEY", "TENCENT_SDK_APP_ID", "TENCENT_TEMPLATE_ID"],
        *["TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_FROM"],
    ],
)
def test_what_a_chosen_gateway_needs_has_to_be_set(need: str) -> None:
    name = need.partition("_")[0].lower()
    said = start(name, {need: ""})
    assert need in said
    assert f"or leave {name} out" in said


def test_twilio_sends_from_a_number_or_from_a_service() -> None:
    assert start("twilio", {"TWILIO_FROM": "", "TWILIO_MESSAGING_SERVICE_SID": "MG" + "0" * 32}) == ""


@pytest.mark.parametrize("secret", ["short", "a/b" * 10, "秘密" * 10, "a" * 129])
def test_a_report_secret_has_to_be_part_of_an_address_and_hard_to_guess(secret: str) -> None:
    said = start("twilio", {"TWILIO_RECEIPT_SECRET": secret})
    assert "TWILIO_RECEIPT_SECRET cannot" in said
    assert secret not in said


def test_credentials_do_not_travel_in_the_clear_outside_ones_own_machine() -> None:
    changes = {"DEBUG": "", "PUBLIC_ORIGIN": "https://login.example.org", "TWILIO_BASE_URL": "http://api.twilio.com"}
    assert "TWILIO_BASE_URL is not an https address" in start("twilio", changes)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of the code, with a gateway that somebody has added: a folder, and a line in GATEWAYS."""
    for name in ("accounts", "home", "project", "tasks", "templates", "static", "locale"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("tests", "docs"):
        (tmp_path / name).mkdir()
    shutil.copytree(ROOT / "tests" / "tools", tmp_path / "tests" / "tools")
    for name in ("manage.py", ".env.example"):
        shutil.copy(ROOT / name, tmp_path / name)
    folder = tmp_path / "tasks" / "gateways" / "pigeon"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('a gateway is imported when it sends, not at the start')\n")
    (folder / "settings.py").write_text(
        '"""Pigeon: a loft, and what the pigeon is fed."""\n'
        "from project import env\n"
        "from project.gateway_settings import Setting\n"
        "SETTINGS = (\n"
        '    Setting("PIGEON_LOFT", required=True),\n'
        '    Setting("PIGEON_FOOD", default="corn"),\n'
        '    Setting("PIGEON_WHISTLE", secret=True),\n'
        '    Setting("PIGEON_BASE_URL", default="https://pigeon.example"),\n'
        '    Setting("PIGEON_RECEIPT_SECRET", secret=True),\n'
        ")\n"
        "def check(values):\n"
        '    if values["PIGEON_LOFT"] == "far":\n'
        '        env.refuse("PIGEON_LOFT", "is too far", "Write a loft that a pigeon can reach.")\n'
    )
    file = tmp_path / "project" / "settings.py"
    known = "GATEWAYS = {\n"
    assert file.read_text().count(known) == 1
    file.write_text(file.read_text().replace(known, f'{known}    "pigeon": "tasks.gateways.pigeon.Pigeon",\n'))
    return tmp_path


def run(clone: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the clone, with the made-up gateway chosen."""
    environment = {"DEBUG": "1", "ENV_FILE": "", "VAR_DIR": str(clone / "var"), "SMS_GATEWAYS": "pigeon", **settings}
    return subprocess.run(
        [sys.executable, *words], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )


def test_a_gateway_is_added_by_its_folder_and_one_line(clone: Path) -> None:
    """Its settings, its checks, its secrets and its rows in the documents come from its own folder."""
    show = "from project import settings as s; print(s.PIGEON_LOFT, s.PIGEON_FOOD, 'hunter2' in s.LOG_SECRETS)"
    shown = run(clone, "-c", show, PIGEON_LOFT="roof", PIGEON_WHISTLE="hunter2")
    assert (shown.stdout.strip(), shown.stderr) == ("roof corn True", "")
    for settings, line in (
        ({}, "PIGEON_LOFT is not set. Write the value from the provider's console, or leave pigeon out."),
        ({"PIGEON_LOFT": "far"}, "PIGEON_LOFT is too far. Write a loft that a pigeon can reach."),
        (
            {"PIGEON_LOFT": "roof", "PIGEON_BASE_URL": "ftp://hunter2"},
            "PIGEON_BASE_URL is not an https address. Leave it out: the provider's own is the default.",
        ),
        (
            {"PIGEON_LOFT": "roof", "PIGEON_RECEIPT_SECRET": "hunter2"},
            (
                "PIGEON_RECEIPT_SECRET cannot be part of an address or can be guessed. "
                "Write 32 random letters and digits, or nothing."
            ),
        ),
    ):
        refused = run(clone, "manage.py", "check", **settings)
        assert (refused.returncode, refused.stderr) == (1, f"{line}\n")
    assert run(clone, "-m", "tests.tools.settings_reference").stderr == ""
    assert "\n# Pigeon: a loft, and what the pigeon is fed.\n# PIGEON_LOFT=\n" in (clone / ".env.example").read_text()
    page = (clone / "docs" / "settings.md").read_text()
    names = "`PIGEON_LOFT`<br>`PIGEON_FOOD`<br>`PIGEON_WHISTLE`<br>`PIGEON_BASE_URL`<br>`PIGEON_RECEIPT_SECRET`"
    assert f"| {names} | <br>`corn`<br><br>`https://pigeon.example`<br> | Pigeon: a loft, " in page
    assert "`pigeon`" in next(line for line in page.splitlines() if line.startswith("| `SMS_GATEWAYS`"))
