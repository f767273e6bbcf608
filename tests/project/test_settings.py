"""Wrong settings stop the start, each with a line that says what to write instead, and none tells a secret."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pytest
from packaging.version import Version

from tests.support.production import GOOD_KEY
from tests.support.production import PRODUCTION_HTTPS as PRODUCTION
from tests.support.stack import ROOT
from tests.support.together import together

if TYPE_CHECKING:
    from pathlib import Path

LOOPBACK = ["localhost", "127.0.0.1", "[::1]"]
# What a site in production cannot be without.
NEEDED = ["SECRET_KEY", "PUBLIC_ORIGIN", "SMS_GATEWAYS", "YUNTONGXUN_AUTH_TOKEN", "YUNTONGXUN_APP_ID"]
SHOW = """
import json, os
from project import settings
found = {name: getattr(settings, name) for name in dir(settings) if name.isupper()}
print(json.dumps(found, default=lambda value: str(value) if isinstance(value, os.PathLike) else None))
"""


def python(folder: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run Python with these settings and no others."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    environment = {**kept, "ENV_FILE": "", "VAR_DIR": str(folder), **settings}
    return subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def read(folder: Path, **settings: str) -> dict[str, Any]:
    """Return every setting as the site would have it."""
    done = python(folder, "-c", SHOW, **settings)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


TWILIO = {"SMS_GATEWAYS": "twilio", "TWILIO_ACCOUNT_SID": "a" * 34, "TWILIO_AUTH_TOKEN": "b" * 32}
WRONG = [
    ({**PRODUCTION, "PUBLIC_ORIGIN": "https://bücher.example"}, "PUBLIC_ORIGIN", "https://xn--bcher-kva.example"),
    ({**PRODUCTION, "PUBLIC_ORIGIN": "https://登录.example"}, "PUBLIC_ORIGIN", "https://xn--"),
    ({**PRODUCTION, "PUBLIC_ORIGIN": "https://" + "ü" * 80}, "PUBLIC_ORIGIN", "https://login.example.org"),
    ({**PRODUCTION, "ALLOWED_HOSTS": "login.example.org,bücher.example"}, "ALLOWED_HOSTS", "xn--bcher-kva.example"),
    ({**PRODUCTION, "ALLOWED_HOSTS": "https://login.example.org"}, "ALLOWED_HOSTS", "without scheme"),
    ({**PRODUCTION, "ALLOWED_HOSTS": "login.example.org:443"}, "ALLOWED_HOSTS", "without scheme"),
    ({**PRODUCTION, "HSTS_PRELOAD": "1"}, "HSTS_PRELOAD", "HSTS_SUBDOMAINS=1"),
    ({**PRODUCTION, "SITE_APPS": "no_such_app"}, "SITE_APPS", "beside manage.py"),
    ({**PRODUCTION, "SITE_APPS": "./notes"}, "SITE_APPS", "beside manage.py"),
    ({**PRODUCTION, "SITE_APPS": "no_such_app.apps.NotesConfig"}, "SITE_APPS", "beside manage.py"),
    ({**PRODUCTION, "SITE_APPS": "accounts"}, "SITE_APPS", "another name"),
    *(
        ({**PRODUCTION, "BODY_LIMITS": limit}, "BODY_LIMITS", "BODY_LIMITS=/notes/upload/:10M")
        for limit in ("/", "/notes/", "10M", "/:10M", "notes/:10M", "/notes/:0", "/notes/:10G", "/notes/:101M", "//:1M")
    ),
    *(
        ({**PRODUCTION, "BODY_LIMITS": limit}, "BODY_LIMITS", "a path of your own")
        for limit in ("/login/:1M", "/login/code/:1M", "/log:1M", "/receipts/twilio/:5M", "/i18n/:1M")
    ),
    ({"DEBUG": "maybe"}, "DEBUG", "DEBUG=1"),
    ({"PORT": "http"}, "PORT", "PORT=8000"),
    ({"PORT": "0"}, "PORT", "from 1 to 65535"),
    ({"PORT": "65536"}, "PORT", "from 1 to 65535"),
    ({"SECRET_KEY": "hunter2hunter2"}, "SECRET_KEY", "50 random characters"),
    ({"SECRET_KEY": "s" * 60}, "SECRET_KEY", "50 random characters"),
    ({"PUBLIC_ORIGIN": "login.example.org"}, "PUBLIC_ORIGIN", "PUBLIC_ORIGIN=https://login.example.org"),
    ({"PUBLIC_ORIGIN": "https://login.example.org/path"}, "PUBLIC_ORIGIN", "PUBLIC_ORIGIN=https://"),
    ({"PUBLIC_ORIGIN": "https://login.example.org?x"}, "PUBLIC_ORIGIN", "PUBLIC_ORIGIN=https://"),
    ({"PUBLIC_ORIGIN": "https://login.example.org:port"}, "PUBLIC_ORIGIN", "PUBLIC_ORIGIN=https://"),
    ({"PUBLIC_ORIGIN": "https://login.example.org:99999"}, "PUBLIC_ORIGIN", "PUBLIC_ORIGIN=https://"),
    ({"PUBLIC_ORIGIN": "https://me@login.example.org"}, "PUBLIC_ORIGIN", "PUBLIC_ORIGIN=https://"),
    ({"PUBLIC_ORIGIN": "https://*.example.org"}, "PUBLIC_ORIGIN", "PUBLIC_ORIGIN=https://"),
    ({"PUBLIC_ORIGIN": "wss://login.example.org"}, "PUBLIC_ORIGIN", "PUBLIC_ORIGIN=https://"),
    ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS", "host names"),
    ({"ALLOWED_HOSTS": "a.example.org, *"}, "ALLOWED_HOSTS", "host names"),
    ({"TRUSTED_PROXIES": "-1"}, "TRUSTED_PROXIES", "from 0 to 10"),
    ({"TRUSTED_PROXIES": "10.0.0.1"}, "TRUSTED_PROXIES", "whole number"),
    ({"REDIS_URL": "http://:hunter2@cache:6379"}, "REDIS_URL", "REDIS_URL=redis://"),
    ({"REDIS_URL": "redis://:hunter2@cache:port/0"}, "REDIS_URL", "REDIS_URL=redis://"),
    ({"DATABASE_URL": "hunter2"}, "DATABASE_URL", "DATABASE_URL=postgres://"),
    ({"DATABASE_URL": "mongodb://me:hunter2@host/name"}, "DATABASE_URL", "DATABASE_URL=postgres://"),
    ({"DATABASE_URL": "postgres://me:hunter2@host/name?currentSchema=login"}, "DATABASE_URL", "search_path"),
    ({"DATABASE_URL": "postgres://me:hunter2@host:port/name"}, "DATABASE_URL", "DATABASE_URL=postgres://"),
    ({"KEY_PREFIX": "my shop"}, "KEY_PREFIX", "KEY_PREFIX=shop"),
    ({"KEY_PREFIX": "shop:*"}, "KEY_PREFIX", "letters, digits and _"),
    ({"KEY_PREFIX": "läden"}, "KEY_PREFIX", "KEY_PREFIX=shop"),
    ({"BROKER_URL": "http://me:hunter2@host"}, "BROKER_URL", "BROKER_URL=amqp://"),
    ({"SMS_GATEWAYS": "pigeon"}, "SMS_GATEWAYS", "phone, yuntongxun"),
    ({"SMS_GATEWAYS": "phone,pigeon"}, "SMS_GATEWAYS", "phone, yuntongxun"),
    ({"SMS_GATEWAYS": "yuntongxun"}, "YUNTONGXUN_ACCOUNT_SID", "provider's console"),
    ({**PRODUCTION, "YUNTONGXUN_AUTH_TOKEN": ""}, "YUNTONGXUN_AUTH_TOKEN", "provider's console"),
    ({**PRODUCTION, "DEBUG": "", "YUNTONGXUN_BASE_URL": "http://hunter2.test"}, "YUNTONGXUN_BASE_URL", "Leave it out"),
    ({**PRODUCTION, "YUNTONGXUN_RECEIPT_SECRET": "hunter2"}, "YUNTONGXUN_RECEIPT_SECRET", "32 random"),
    ({"SMS_REGIONS": "CHN"}, "SMS_REGIONS", "SMS_REGIONS=CN,HK"),
    ({"SMS_REGIONS": "CN,UK"}, "SMS_REGIONS", "SMS_REGIONS=CN,HK"),
    ({"SMS_REGIONS": "+86"}, "SMS_REGIONS", "SMS_REGIONS=CN,HK"),
    ({"SMS_COOLDOWN": "-1"}, "SMS_COOLDOWN", "from 0 to 3600"),
    ({"SMS_COOLDOWN": "1.5"}, "SMS_COOLDOWN", "SMS_COOLDOWN=60"),
    ({"SMS_COOLDOWN": "60s"}, "SMS_COOLDOWN", "SMS_COOLDOWN=60"),
    ({"SMS_CODE_TTL": "601"}, "SMS_CODE_TTL", "from 5 to 600"),
    ({"SMS_CODE_TTL": "0"}, "SMS_CODE_TTL", "from 5 to 600"),
    ({"SMS_MAX_TRIES": "0"}, "SMS_MAX_TRIES", "from 1 to 10"),
    ({"SMS_PER_HOUR": "many"}, "SMS_PER_HOUR", "SMS_PER_HOUR=5"),
    ({"SMS_PER_DAY": "-1"}, "SMS_PER_DAY", "at least 0"),
    ({"SMS_PER_IP_HOUR": "-1"}, "SMS_PER_IP_HOUR", "at least 0"),
    ({"SMS_BUDGET_HOUR": "1e3"}, "SMS_BUDGET_HOUR", "SMS_BUDGET_HOUR=200"),
    ({"SMS_AMBIGUOUS": "guess"}, "SMS_AMBIGUOUS", "ask, resend"),
    ({"SIGN_UP": "perhaps"}, "SIGN_UP", "SIGN_UP=1 or SIGN_UP=0"),
    ({"SITE_NAME": "x" * 41}, "SITE_NAME", "at most 40 characters"),
    ({"SITE_MARK": "/nowhere/mark.svg"}, "SITE_MARK", "Write the path of a file"),
    ({"SITE_COLOUR": "#07c160"}, "SITE_COLOUR", "SITE_COLOUR=#06a251,#07c160"),
    ({"SITE_DIR": "/nowhere"}, "SITE_DIR", "SITE_DIR=/srv/acme"),
    ({"HOME_PAGE": "on"}, "HOME_PAGE", "Write off, page, or a path"),
    ({"TERMS_URL": "terms"}, "TERMS_URL", "Write https://"),
    ({"PRIVACY_URL": "javascript:alert(1)"}, "PRIVACY_URL", "Write https://"),
    ({"SUPPORT_URL": "help@example.org"}, "SUPPORT_URL", "mailto:"),
    ({"ICP_NUMBER": "12345678"}, "ICP_NUMBER", "ICP_NUMBER=京ICP备"),
    ({"SMS_TEXT_EN": "Your code is here."}, "SMS_TEXT_EN", "Write a sentence with {code}"),
    ({"SMS_TEXT_ZH": "{验证码}"}, "SMS_TEXT_ZH", "Write a sentence with {code}"),
    ({"SMS_SENDER": "【果园】"}, "SMS_SENDER", "without brackets"),
    ({**TWILIO, "SMS_SENDER": "果园"}, "TWILIO_FROM", "+15005550006"),
    ({"REMEMBERED_DAYS": "0"}, "REMEMBERED_DAYS", "from 1 to 365"),
    ({"LOG_LEVEL": "debug"}, "LOG_LEVEL", "DEBUG, INFO"),
    ({"LANGUAGE_CODE": "fr"}, "LANGUAGE_CODE", "LANGUAGE_CODE=en or LANGUAGE_CODE=zh-hans"),
    ({"LANGUAGE_CODE": "zh-hant"}, "LANGUAGE_CODE", "LANGUAGE_CODE=zh-hans"),
    # T-87: what stands in an example, and what somebody types to have done with it.
    ({"SECRET_KEY": "django-insecure-5k2!x@w9q0v#z7r1t3y6u8i4o2p"}, "SECRET_KEY", "50 random characters"),
    ({"SECRET_KEY": "ChangeThis0123456789ChangeThis0123456789"}, "SECRET_KEY", "50 random characters"),
    ({"SECRET_KEY": "your-secret-key-goes-here-50-characters-long"}, "SECRET_KEY", "50 random characters"),
    ({"SECRET_KEY": "0123456789" * 5}, "SECRET_KEY", "50 random characters"),
    ({"SECRET_KEY_FALLBACKS": f"{GOOD_KEY},hunter2"}, "SECRET_KEY_FALLBACKS", "50 random characters"),
    # T-88: the dev phone is no page for a network.
    ({"HOST": "0.0.0.0"}, "DEBUG", "HOST=127.0.0.1"),
    ({"HOST": "192.168.1.5"}, "DEBUG", "DEBUG=0"),
    # D5: plain http elsewhere than on this machine.
    ({**PRODUCTION, "DEBUG": "", "PUBLIC_ORIGIN": "http://login.example.org"}, "PUBLIC_ORIGIN", "INSECURE_HTTP=1"),
    ({**PRODUCTION, "DEBUG": "", "PUBLIC_ORIGIN": "http://192.168.1.5:8000"}, "PUBLIC_ORIGIN", "Write https://"),
    ({**PRODUCTION, "DEBUG": "", "PUBLIC_ORIGIN": "http://localhost.evil.com"}, "PUBLIC_ORIGIN", "Write https://"),
    # Outside DEBUG.
    ({"DEBUG": "0"}, "SECRET_KEY", "DEBUG=1"),
    ({"DEBUG": "", "SECRET_KEY": GOOD_KEY}, "PUBLIC_ORIGIN", "PUBLIC_ORIGIN=https://"),
    ({**PRODUCTION, "DEBUG": "0", "SMS_GATEWAYS": "phone"}, "SMS_GATEWAYS", "real gateway"),
    ({**PRODUCTION, "DEBUG": "0", "SMS_GATEWAYS": "yuntongxun,phone"}, "SMS_GATEWAYS", "real gateway"),
    ({**PRODUCTION, "DEBUG": "0", "SMS_GATEWAYS": ""}, "SMS_GATEWAYS", "real gateway"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "name", "write"), WRONG, ids=lambda part: part if isinstance(part, str) else "")
def test_a_wrong_setting_stops_the_start(tmp_path: Path, settings: dict[str, str], name: str, write: str) -> None:
    """One line: the setting's name, and what to write. Others follow only where production needs more than one."""
    done = python(tmp_path, "-c", "import project.settings", **{"DEBUG": "1", **settings})
    assert done.returncode != 0
    assert done.stdout == ""
    line, *others = done.stderr.splitlines()
    assert line.startswith(name)
    assert write in line
    assert {other.split()[0] for other in others} <= set(NEEDED) - {name}
    assert "hunter2" not in done.stderr
    assert GOOD_KEY not in done.stderr


# Wrong one by one: in one reader of the environment, in a check, in a gateway's own needs, and together.
ALL_WRONG = {
    "DEBUG": "1",
    "PORT": "http",
    "SECRET_KEY": "hunter2",
    "PUBLIC_ORIGIN": "http://[",
    "DATABASE_URL": "hunter2",
    "SMS_GATEWAYS": "twilio",
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "SMS_REGIONS": "CHN",
    "SMS_COOLDOWN": "a minute",
    "SMS_BUDGET_HOUR": "100",
    "SMS_BUDGET_RESERVE": "200",
    "SMS_KEEP_DAYS": "1",
    "SIGN_UP": "perhaps",
    "LANGUAGE_CODE": "fr",
    "HOST": "0.0.0.0",
}  # fmt: skip
NAMED = [
    *["PORT", "SECRET_KEY", "PUBLIC_ORIGIN", "DATABASE_URL", "SMS_REGIONS", "SMS_COOLDOWN", "SIGN_UP", "LANGUAGE_CODE"],
    *["DEBUG", "TWILIO_AUTH_TOKEN", "TWILIO_FROM", "SMS_BUDGET_RESERVE", "SMS_KEEP_DAYS"],
]


@pytest.mark.parametrize(
    "words",
    [
        ("-c", "import project.settings"),
        ("manage.py", "check"),
        ("-m", "daphne", "asgi:application"),
        ("-m", "huey.bin.huey_consumer", "tasks.app.huey"),
        ("-m", "project.run"),
    ],
)
def test_all_wrong_settings_are_named_at_once(tmp_path: Path, words: tuple[str, ...]) -> None:
    """A line for each, nothing else, and no setting that is right or only follows from a wrong one."""
    done = python(tmp_path, *words, **ALL_WRONG)
    assert done.returncode == (2 if "project.run" in words else 1)
    said = (done.stdout + done.stderr).splitlines()
    # Huey begins with a line of its own.
    lines = [line for line in said if "Error importing tasks.app" not in line]
    assert [line.split()[0] for line in lines] == NAMED
    assert all(". Write " in line or ". Leave " in line for line in lines), lines
    assert "hunter2" not in done.stderr


def test_what_production_needs_is_named_at_once(tmp_path: Path) -> None:
    done = python(tmp_path, "manage.py", "check")
    assert [line.split()[0] for line in done.stderr.splitlines()] == ["SECRET_KEY", "PUBLIC_ORIGIN", "SMS_GATEWAYS"]


def test_what_may_follow_from_a_wrong_setting_is_not_named(tmp_path: Path) -> None:
    """Nobody knows yet which gateways there will be, so a route is neither right nor wrong."""
    done = python(tmp_path, "manage.py", "check", DEBUG="1", SMS_GATEWAYS="pigeon", SMS_ROUTES="HK:twilio")
    (line,) = done.stderr.splitlines()
    assert line.startswith("SMS_GATEWAYS names 'pigeon'")


def test_a_name_that_is_mistyped_in_the_file_is_noticed(tmp_path: Path) -> None:
    """Other programs' names in that file are theirs, and so is the whole environment."""
    file = tmp_path / "env"
    file.write_text("DEBUG=1\nSMS_COOLDWON=7\nsign_up=0\nPOSTGRES_PASSWORD=hunter2\nCOMPOSE_PROJECT_NAME=login\n")
    file.chmod(0o600)
    noticed = [
        f"SMS_COOLDWON in {file} is not a setting. Did you mean SMS_COOLDOWN?",
        f"sign_up in {file} is not a setting. Did you mean SIGN_UP?",
    ]
    done = python(tmp_path, "-c", SHOW, ENV_FILE=str(file), SMS_PER_HUOR="3")
    assert done.stderr.splitlines() == noticed
    assert json.loads(done.stdout)["SMS_COOLDOWN"] == 60, "and it starts"
    refused = python(tmp_path, "manage.py", "check", ENV_FILE=str(file), PORT="http")
    assert refused.stderr.splitlines()[1:] == noticed
    assert refused.stderr.startswith("PORT is 'http'")


@pytest.mark.parametrize(
    "words",
    [
        ("manage.py", "check"),
        ("manage.py", "migrate"),
        ("-m", "daphne", "asgi:application"),
        ("-m", "huey.bin.huey_consumer", "tasks.app.huey"),
    ],
)
def test_every_command_stops_with_that_line(tmp_path: Path, words: tuple[str, ...]) -> None:
    """An operator reads the last line that is written; it is the one."""
    done = python(tmp_path, *words, DEBUG="1", SMS_COOLDOWN="a minute", SECRET_KEY=GOOD_KEY)
    assert done.returncode != 0
    lines = (done.stdout + done.stderr).strip().splitlines()
    assert lines[-1].startswith("SMS_COOLDOWN is 'a minute'")
    assert "Write a number" in lines[-1]
    assert GOOD_KEY not in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_right_production_starts(tmp_path: Path) -> None:
    done = python(tmp_path, "manage.py", "check", "--deploy", "--fail-level", "WARNING", **PRODUCTION)
    assert done.returncode == 0, done.stderr


def test_what_is_not_set_is_as_the_contract_says(tmp_path: Path) -> None:
    assert python(tmp_path, "manage.py", "check", DEBUG="1").returncode == 0
    found = read(tmp_path, DEBUG="1")
    expected = {
        "DEBUG": True,
        "HOST": "127.0.0.1",
        "PORT": 8000,
        "VAR_DIR": str(tmp_path),
        "PUBLIC_ORIGIN": "http://127.0.0.1:8000",
        "SMS_GATEWAYS": ["phone"],
        "SMS_REGIONS": ["CN"],
        "SMS_COOLDOWN": 60,
        "SMS_CODE_TTL": 300,
        "SMS_MAX_TRIES": 5,
        "SMS_LIMITS_RECORD_ONLY": False,
        "SMS_KEEP_DAYS": 90,
        "ALTCHA": "off",
        "SMS_AMBIGUOUS": "ask",
        "TRUSTED_PROXIES": 0,
        "SIGN_UP": True,
        "ADMIN": True,
        "INSECURE_HTTP": False,
        "LOG_LEVEL": "INFO",
        "BROKER_URL": "",
        "KEY_PREFIX": "latchkey",
        "DATABASE_URL": f"sqlite:///{tmp_path}/latchkey.sqlite3",
    }
    assert {name: found[name] for name in expected} == expected
    assert found["REDIS_URL"].startswith("redis://:")
    assert "SECURE_PROXY_SSL_HEADER" not in found, "no header is believed without a proxy of ours"


LIMITS = {
    "SMS_PER_HOUR": 5,
    "SMS_PER_DAY": 10,
    "SMS_PER_IP_HOUR": 10,
    "SMS_PER_SESSION_HOUR": 10,
    "SMS_PER_PREFIX_HOUR": 50,
    "SMS_BUDGET_HOUR": 200,
    "PASSWORD_TRIES": 10,
    "GUESSES_PER_IP": 100,
}


def test_limits_are_wide_in_development_only(tmp_path: Path) -> None:
    """Ten codes are soon tried out, and the dev phone's cost nothing. The cooldown and a code's own rules stay."""
    production, development = read(tmp_path, **PRODUCTION), read(tmp_path, DEBUG="1")
    assert {name: production[name] for name in LIMITS} == LIMITS
    for name in LIMITS:
        assert development[name] >= 1000, name
    for name in ("SMS_COOLDOWN", "SMS_CODE_TTL", "SMS_MAX_TRIES"):
        assert development[name] == production[name], name
    assert read(tmp_path, DEBUG="1", SMS_PER_HOUR="5", PASSWORD_TRIES="3")["SMS_PER_HOUR"] == 5, "what is set wins"


def test_debug_is_off_unless_it_is_asked_for(tmp_path: Path) -> None:
    found = read(tmp_path, **PRODUCTION)
    assert found["DEBUG"] is False
    assert found["ADMIN"] is False
    assert found["LOGGING"]["root"]["level"] == "WARNING"
    assert found["ALLOWED_HOSTS"] == ["login.example.org", *LOOPBACK]
    assert found["SOCKET_ORIGINS"] == ["https://login.example.org"]
    assert (found["SECURE_HSTS_INCLUDE_SUBDOMAINS"], found["SECURE_HSTS_PRELOAD"]) == (False, False)
    for name in ("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_SSL_REDIRECT", "SECURE_HSTS_SECONDS"):
        assert found[name], name
    assert (found["SESSION_COOKIE_NAME"], found["CSRF_COOKIE_NAME"]) == ("__Host-sessionid", "__Host-csrftoken")


@pytest.mark.parametrize(
    ("said", "meant"),
    [("", "en"), ("EN", "en"), ("zh-hans", "zh-hans"), ("zh", "zh-hans"), ("zh-CN", "zh-hans"), ("zh_Hans", "zh-hans")],
)
def test_a_language_has_many_names(tmp_path: Path, said: str, meant: str) -> None:
    assert read(tmp_path, DEBUG="1", LANGUAGE_CODE=said)["LANGUAGE_CODE"] == meant


@pytest.mark.parametrize(
    ("said", "meant"), [("TRUE", True), ("yes", True), (" on ", True), ("No", False), ("off", False), ("", True)]
)
def test_yes_and_no_have_many_names(tmp_path: Path, said: str, meant: bool) -> None:
    assert read(tmp_path, DEBUG="1", SIGN_UP=said)["SIGN_UP"] is meant


def test_lists_are_written_with_commas(tmp_path: Path) -> None:
    found = read(tmp_path, DEBUG="1", SMS_REGIONS=" cn, HK ,,gb", ALLOWED_HOSTS="a.example.org,b.example.org")
    assert found["SMS_REGIONS"] == ["CN", "HK", "GB"]
    assert found["ALLOWED_HOSTS"] == ["a.example.org", "b.example.org", *LOOPBACK]


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("DEBUG=1\nSMS_COOLDOWN=7\nSMS_PER_DAY=8\n")
    found = read(tmp_path, ENV_FILE=str(tmp_path / "env"), SMS_COOLDOWN="9")
    assert (found["SMS_COOLDOWN"], found["SMS_PER_DAY"]) == (9, 8)


@pytest.mark.parametrize(
    ("origin", "settings", "prefix"),
    [
        ("https://login.example.org", {}, "__Host-"),
        ("http://127.0.0.1:8000", {}, ""),
        ("http://app.localhost:8000", {}, ""),
        ("http://[::1]:8000", {}, ""),
        ("http://login.example.org", {"INSECURE_HTTP": "1"}, ""),
    ],
)
def test_cookies_have_the_names_that_the_scheme_allows(
    tmp_path: Path, origin: str, settings: dict[str, str], prefix: str
) -> None:
    """T-44, D5: over TLS no sibling host can plant one; plain http is for this machine, or for who insists."""
    done = python(tmp_path, "-c", SHOW, **{**PRODUCTION, "PUBLIC_ORIGIN": origin, **settings})
    found = json.loads(done.stdout)
    assert (found["SESSION_COOKIE_NAME"], found["CSRF_COOKIE_NAME"]) == (f"{prefix}sessionid", f"{prefix}csrftoken")
    assert found["SESSION_COOKIE_SECURE"] is found["LANGUAGE_COOKIE_SECURE"] is found["SECURE_SSL_REDIRECT"]
    assert found["SESSION_COOKIE_SECURE"] is bool(prefix)
    assert bool(found["SECURE_HSTS_SECONDS"]) is bool(prefix)
    warned = [f"INSECURE_HTTP=1: passwords, codes and sessions of {origin} can be read on their way."]
    assert done.stderr.splitlines() == (warned if "INSECURE_HTTP" in settings else [])


def test_every_start_without_tls_is_warned_of_once(tmp_path: Path) -> None:
    """D5: each command by itself. What `make run` starts is in test_run.py."""
    settings = {**PRODUCTION, "PUBLIC_ORIGIN": "http://login.example.org", "INSECURE_HTTP": "1"}
    # What daphne and the worker import.
    for words in (["manage.py", "check"], ["-c", "import tasks.app"], ["-c", "import asgi"]):
        done = python(tmp_path, *words, **settings, REDIS_URL="redis://127.0.0.1:1/0")
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("INSECURE_HTTP=1: ") == 1, done.stderr


def test_the_public_name_is_answered_whatever_other_names_are(tmp_path: Path) -> None:
    """A list without it would start a site that nobody can open."""
    found = read(tmp_path, **PRODUCTION, ALLOWED_HOSTS="www.example.org")
    assert found["ALLOWED_HOSTS"][:2] == ["login.example.org", "www.example.org"]


def test_what_is_kept_is_closed_to_other_users(tmp_path: Path) -> None:
    """T-87: a new folder, one that was there, and not one that is everybody's."""
    new, old, shared = tmp_path / "new", tmp_path / "old", tmp_path / "shared"
    old.mkdir()
    old.chmod(0o755)
    shared.mkdir()
    shared.chmod(0o1777)
    for folder in (new, old, shared):
        assert python(folder, "manage.py", "check", DEBUG="1").returncode == 0
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (new, old, shared)] == [0o700, 0o750, 0o1777]
    assert stat.S_IMODE((shared / "secret_key").stat().st_mode) == 0o600


@pytest.mark.parametrize(("mode", "warned"), [(0o644, 1), (0o640, 1), (0o604, 1), (0o600, 0), (0o400, 0)])
def test_settings_that_others_can_read_are_not_taken_silently(tmp_path: Path, mode: int, warned: int) -> None:
    """T-87: the file holds every secret of a site."""
    file = tmp_path / "settings.env"
    file.write_text("SMS_COOLDOWN=59\n")
    file.chmod(mode)
    done = python(tmp_path, "-c", SHOW, DEBUG="1", ENV_FILE=str(file))
    assert json.loads(done.stdout)["SMS_COOLDOWN"] == 59
    assert done.stderr.count(f"Run: chmod 600 {file}") == warned


def test_no_secret_of_ours_is_in_the_repository() -> None:
    """T-87: no key file, no .env, no database; and nothing that looks like a key beside a setting's name."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no clone")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = listed.stdout.splitlines()
    assert len(names) > 100, "or this test means nothing"
    kept = re.compile(r"(^|/)(\.env|secret_key|var/.*)$|\.(pem|key|sqlite3|rdb|aof)$")
    assert [name for name in names if kept.search(name)] == []
    assigned = re.compile(r"^\s*[A-Z_]*(?:SECRET|TOKEN|PASSWORD|KEY)[A-Z_]*=['\"]?[\w+/-]{24,}", re.MULTILINE)
    for name in names:
        path = ROOT / name
        if path.is_file() and not name.startswith("tests/") and path.suffix not in {".png", ".lock", ".mo"}:
            assert not assigned.search(path.read_text(errors="replace")), name


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({**TWILIO, "SMS_SENDER": "Acme"}, "TWILIO_FROM"),
        ({"SMS_SENDER": "Acme"}, "ALIYUN_SIGN_NAME"),
        ({"SMS_SENDER": "Acme"}, "TENCENT_SIGN_NAME"),
    ],
)
def test_the_sender_is_that_of_every_gateway_which_has_none_of_its_own(
    tmp_path: Path, settings: dict[str, str], name: str
) -> None:
    assert read(tmp_path, DEBUG="1", **settings)[name] == "Acme"
    assert read(tmp_path, DEBUG="1", **settings, **{name: "Orchard"})[name] == "Orchard"


def test_a_site_of_its_own_comes_first(tmp_path: Path) -> None:
    """SITE_DIR's templates and static files stand before ours, and a folder that is not there is no trouble."""
    for part in ("templates", "static"):
        (tmp_path / part).mkdir()
        found = read(tmp_path, DEBUG="1", SITE_DIR=str(tmp_path))
        assert found["TEMPLATES"][0]["DIRS"][0] == str(tmp_path / "templates")
        assert (found["STATICFILES_DIRS"][0] == str(tmp_path / "static")) is (part == "static")


# Below these something is broken or open (see CHANGELOGs and advisories of each).
FLOORS = {
    "django": "5.2.19",
    "daphne": "4.2.3",
    "channels": "4.3.2",
    "channels-redis": "4.3.0",
    "django-redis": "7.0.0",
    "redis": "8.1.0",
    "huey": "3.5.4",
    "asgiref": "3.13.0",
    "a2wsgi": "1.10",
    "django-htmx": "1.29.0",
    "django-csp": "4.0",
}


@pytest.mark.parametrize("name", FLOORS)
def test_no_part_is_older_than_the_last_known_hole(name: str) -> None:
    """T-93: what is installed here, and what the lock installs elsewhere."""
    assert Version(version(name)) >= Version(FLOORS[name])
    (locked,) = re.findall(rf"^{name}==([^\s;]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert Version(locked) >= Version(FLOORS[name])


def test_importing_the_settings_writes_nothing(tmp_path: Path) -> None:
    """An editor, mypy or a script of one's own may do it: neither a folder nor a key comes of it."""
    found = read(tmp_path / "var", DEBUG="1")
    assert len(found["SECRET_KEY"]) >= 50
    assert read(tmp_path / "var", DEBUG="1")["SECRET_KEY"] != found["SECRET_KEY"], "a key that is kept nowhere"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ("manage.py", "check"),
        ("-c", "import asgi"),
        ("-c", "import tasks.app"),
    ],
)
def test_every_program_of_the_site_prepares_its_folder(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Each may be the first that is ever started. What they share is then the same for all of them."""
    done = python(tmp_path / "var", *words, DEBUG="1")
    assert done.returncode == 0, done.stderr
    found = read(tmp_path / "var", DEBUG="1")
    assert (tmp_path / "var" / "secret_key").read_text() == found["SECRET_KEY"]
    assert (tmp_path / "var" / "valkey" / "url").read_text() == found["REDIS_URL"]
    assert stat.S_IMODE((tmp_path / "var").stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for words in (["manage.py", "check"], ["-c", "import asgi"], ["-c", "import tasks.app"]):
        done = python(tmp_path / "file" / "var", *words, DEBUG="1")
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert (
            line == f"VAR_DIR is {tmp_path}/file/var, where we cannot write (Not a directory). Write a folder of yours."
        )


def test_a_key_of_its_own_is_made_once_and_read_by_nobody_else(tmp_path: Path) -> None:
    """Under DEBUG: eight first starts at once agree on one key, and its file is its owner's alone."""
    show = "from django.conf import settings; print(settings.SECRET_KEY)"
    calls = [lambda: python(tmp_path, "manage.py", "shell", "-v", "0", "-c", show, DEBUG="1")] * 8
    keys = {done.stdout.strip() for done in together(calls)}
    assert len(keys) == 1
    (key,) = keys
    assert len(key) >= 50
    file = tmp_path / "secret_key"
    assert file.read_text() == key
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.glob("secret_key*")] == ["secret_key"]
    assert read(tmp_path, DEBUG="1")["SECRET_KEY"] == key


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR"])
def test_no_library_is_heard_below_a_warning_unless_it_was_read(level: str) -> None:
    """At DEBUG urllib3 writes whole URLs, with keys, numbers and codes in them."""
    script = """
import logging
import django
django.setup()
for name in ("urllib3.connectionpool", "requests", "httpcore", "redis", "apprise", "asyncio", "nobody.knows.it"):
    assert not logging.getLogger(name).isEnabledFor(logging.INFO), name
print(logging.getLogger("tasks").isEnabledFor(logging.DEBUG))
"""
    environment = {**os.environ, "DEBUG": "1", "LOG_LEVEL": level, "DJANGO_SETTINGS_MODULE": "project.settings"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(level == "DEBUG")


@pytest.mark.parametrize(
    ("said", "name", "kept"),
    [
        ("", "options", "-c statement_timeout=5000"),
        ("?options=", "options", None),
        ("?options=-c%20search_path%3Dlogin", "options", "-c statement_timeout=5000 -c search_path=login"),
        ("?options=-c%20statement_timeout%3D9000", "options", "-c statement_timeout=9000"),
        ("?connect_timeout=9", "connect_timeout", 9),
        ("?sslmode=require", "sslmode", "require"),
        ("?sslmode=require", "connect_timeout", 2),
    ],
)
def test_what_the_operator_says_of_postgresql_is_kept(tmp_path: Path, said: str, name: str, kept: object) -> None:
    """PgBouncer refuses the parameter `options`: written empty, it is left out."""
    found = read(tmp_path, **PRODUCTION, DATABASE_URL=f"postgres://me:hunter2@host/name{said}")
    assert found["DATABASES"]["default"]["OPTIONS"].get(name) == kept


@pytest.mark.parametrize("folder", ["a#b", "a?b", "a%20b", "a+b", "a b", "a:b@c", "中文"])
def test_the_database_lies_inside_its_folder_whatever_its_name(tmp_path: Path, folder: str) -> None:
    found = read(tmp_path / folder, **PRODUCTION)
    assert found["DATABASES"]["default"]["NAME"] == str(tmp_path / folder / "latchkey.sqlite3")
