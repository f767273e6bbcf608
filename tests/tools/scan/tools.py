"""The public tools: got into an environment of their own, called within a bound of time, their findings read.

A tool that cannot be installed and is not on the path is missing, and said to be.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from tests.support.stack import ROOT
from tests.tools.scan.answered import CHECKED
from tests.tools.scan.site import PASSWORD, USERNAME

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.tools.scan.site import Site

OUT = ROOT / "var" / "scan"
TOOLS = OUT / "tools"
LOCK = ROOT / "tests" / "tools" / "scan" / "requirements.lock"
# What stands in nobody's repository.
CODE = ("accounts", "home", "tasks", "project", "asgi.py", "manage.py")
# Those that need nobody outside: neither a list from the internet nor a server that is called back.
WAPITI = (
    "cookieflags,csp,http_headers,csrf,crlf,exec,file,methods,redirect,sql,xss,permanentxss,htaccess,backup,ldap,"
    "shellshock,upload,https_redirect,xxe"
)
# Path, fields, and which of them sqlmap tries. The password is wrong: a login would change the token under way.
FORMS: tuple[tuple[str, dict[str, str], str], ...] = (
    ("/login/", {"username": USERNAME, "password": "not the password", "next": "/"}, "username,password,next"),
    ("/code/", {"mobile": "13800138000", "purpose": "login"}, "mobile,purpose"),
    ("/code/withdraw/", {"number": "13800138000"}, "number"),
    ("/login/code/", {"code": "123456", "mobile": "13800138000", "next": "/"}, "code,mobile,next"),
    ("/state/?lang=en", {}, "lang"),
)


class Missing(Exception):
    """A tool is not to be had here; the message says so."""


class Broken(Exception):
    """A tool ran and told nothing that could be read: its silence is no result."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a tool complains of."""

    tool: str
    # The tool's own name for it.
    rule: str
    # A file of ours with its line, or an address.
    where: str
    text: str

    def __str__(self) -> str:
        """Say it in a line."""
        return f"{self.tool}: {self.rule} at {self.where}: {self.text}"


def install() -> str:
    """Get the tools, once for a lock; return what went wrong, empty when nothing did."""
    stamp = TOOLS / "lock.sha256"
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return ""
    shutil.rmtree(TOOLS, ignore_errors=True)
    pip = [
        str(TOOLS / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
    ]
    for command in (
        [sys.executable, "-m", "venv", str(TOOLS)],
        [*pip, "--no-deps", "--require-hashes", "-r", str(LOCK)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["?"])[-1]
    stamp.write_text(wanted)
    return ""


def call(name: str, *words: object, seconds: int) -> str:
    """Run a tool, its words into var/scan/<name>.log, and return them. Past its time it is ended. Raises Missing."""
    program = shutil.which(name, path=f"{TOOLS / 'bin'}:{os.environ.get('PATH', '')}")
    if not program:
        raise Missing("not installed, and pip could not install it")
    home = OUT / "home"
    home.mkdir(parents=True, exist_ok=True)
    log = OUT / f"{name}.log"
    with log.open("ab") as out:
        begins = log.stat().st_size
        process = subprocess.Popen(
            [program, *map(str, words)], cwd=ROOT, env={**os.environ, "HOME": str(home)},
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    return log.read_bytes()[begins:].decode(errors="replace")


def read_json(path: Path) -> Any:
    """Return a tool's report. Raises Broken."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise Broken(f"it wrote no report: {path}") from error


def cookies(site: Site) -> dict[str, str]:
    """Sign in and return the browser's cookies."""
    with httpx.Client(base_url=site.url, verify=False, timeout=30) as browser:
        browser.get("/login/")
        headers = {"Referer": f"{site.url}/login/", "Accept": "application/json"}
        headers["X-CSRFToken"] = next(value for name, value in browser.cookies.items() if name.endswith("csrftoken"))
        done = browser.post("/login/", data={"username": USERNAME, "password": PASSWORD}, headers=headers)
        assert done.status_code == 200, done.text
        browser.get("/login/")
        return dict(browser.cookies.items())


def is_token_checked(site: Site, path: str) -> bool:
    """Tell whether a form is refused with a false token, and with the right one is not, all else being the same."""
    statuses = []
    for false in (True, False):
        # A browser for each: some of these forms end a session.
        browser = cookies(site)
        token = next(value for name, value in browser.items() if name.endswith("csrftoken"))
        headers = {"Referer": f"{site.url}/login/", "Cookie": "; ".join(f"{n}={v}" for n, v in browser.items())}
        fields = {"csrfmiddlewaretoken": token[::-1] if false else token}
        answer = httpx.post(f"{site.url}{path}", data=fields, headers=headers, verify=False, timeout=30)
        statuses.append(answer.status_code)
    return statuses[0] == 403 != statuses[1]


def wapiti(site: Site) -> list[Finding]:
    """Crawl and attack every form, signed in."""
    jar, report = OUT / "wapiti.cookies.json", OUT / "wapiti.json"
    report.unlink(missing_ok=True)
    facts: dict[str, object] = {"expires": None, "secure": site.url.startswith("https"), "port": None, "version": 0}
    jar.write_text(json.dumps({"127.0.0.1": {"/": {n: {"value": v, **facts} for n, v in cookies(site).items()}}}))
    call(
        "wapiti", "-u", f"{site.url}/", "-m", WAPITI, "-c", jar, "-H", f"Referer: {site.url}/login/",
        # Each form has a fresh token, so to the tool each page is a new one.
        "--max-files-per-dir", 12, "-d", 3, "-x", f"{site.url}/logout/", "--skip", "csrfmiddlewaretoken",
        "--max-scan-time", 60, "--max-attack-time", 15, "--verify-ssl", 0, "--flush-session", "--no-bugreport",
        "--store-session", OUT / "home", "--store-config", OUT / "home", "-f", "json", "-o", report,
        seconds=240,
    )  # fmt: skip
    said = read_json(report)
    found = (("vulnerabilities", *pair) for pair in said["vulnerabilities"].items())
    odd = (("anomalies", *pair) for pair in said["anomalies"].items())
    return [
        Finding(
            "wapiti",
            rule,
            f"{entry['method']} {entry['path']}",
            entry["info"]
            + (CHECKED if "CSRF token" in entry["info"] and is_token_checked(site, entry["path"]) else ""),
        )
        for _, rule, entries in (*found, *odd)
        for entry in entries
    ]


def sqlmap(site: Site) -> list[Finding]:
    """Try to inject SQL through each field."""
    browser = cookies(site)
    token = next(value for name, value in browser.items() if name.endswith("csrftoken"))
    # Without the cookie `username`: its name is one of those that are tried.
    jar = "; ".join(f"{name}={value}" for name, value in browser.items() if name.endswith(("csrftoken", "sessionid")))
    findings = []
    for path, fields, tried in FORMS:
        form = "&".join(f"{name}={value}" for name, value in fields.items())
        said = call(
            "sqlmap", "-u", f"{site.url}{path}", *(["--data", form] if form else []), "-p", tried,
            "--cookie", jar, "--drop-set-cookie",
            "--headers", f"X-CSRFToken: {token}\\nReferer: {site.url}/login/\\nAccept: application/json",
            "--level", 2, "--risk", 2, "--dbms", "sqlite", "--ignore-code", "422,429",
            "--batch", "--flush-session", "--disable-coloring", "--output-dir", OUT / "home",
            seconds=120,
        )  # fmt: skip
        if "not appear to be injectable" in said:
            continue
        hit = re.search(r"sqlmap identified the following injection point.*?---\n(.*?)---", said, re.DOTALL)
        if not hit:
            raise Broken(f"it did not come to an end with {path}; see {OUT / 'sqlmap.log'}")
        findings.append(Finding("sqlmap", "injection", path, " ".join(hit[1].split())))
    return findings


def sslyze(site: Site) -> list[Finding]:
    """Hold the proxy's TLS against Mozilla's intermediate profile."""
    if site.proxy is None:
        raise Missing("there is no nginx, so there is no TLS to look at")
    said = call("sslyze", f"127.0.0.1:{site.proxy.port}", seconds=90)
    if "COMPLIANCE AGAINST MOZILLA" not in said:
        raise Broken(f"it did not come to an end; see {OUT / 'sslyze.log'}")
    where = "nginx"
    against = said.partition("COMPLIANCE AGAINST MOZILLA")[2]
    rows = re.findall(r"^ +\* (\w+): (.*)$", against, re.MULTILINE)
    rows += [("attack", line.strip()) for line in said.splitlines() if re.search(r"\bVULNERABLE", line)]
    return [Finding("sslyze", rule, where, text) for rule, text in rows]


def bandit(_site: Site) -> list[Finding]:
    """Look for dangerous calls in the code."""
    report = OUT / "bandit.json"
    report.unlink(missing_ok=True)
    call("bandit", "-q", "-r", *CODE, "-f", "json", "-o", report, seconds=60)
    return [
        Finding("bandit", found["test_id"], f"{found['filename']}:{found['line_number']}", found["issue_text"])
        for found in read_json(report)["results"]
    ]


def detect_secrets(_site: Site) -> list[Finding]:
    """Look for keys and passwords in whatever is in the repository."""
    said = call("detect-secrets", "scan", seconds=120)
    try:
        results = json.loads(said[said.index("{") :])["results"]
    except (ValueError, KeyError) as error:
        raise Broken(f"it wrote no report; see {OUT / 'detect-secrets.log'}") from error
    return [
        Finding("detect-secrets", found["type"], f"{name}:{found['line_number']}", "looks like a secret")
        for name, entries in sorted(results.items())
        for found in entries
        # Nothing but hashes.
        if not name.endswith(".lock")
    ]


ALL: dict[str, Callable[[Site], list[Finding]]] = {
    "bandit": bandit,
    "detect-secrets": detect_secrets,
    "sslyze": sslyze,
    "sqlmap": sqlmap,
    "wapiti": wapiti,
}
