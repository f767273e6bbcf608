"""`make audit`: Lighthouse in Debian's Chromium, and Mozilla's observatory, on a site behind the nginx of
docs/operators.md.

    python -m tests.tools.audit                        both, some three minutes
    python -m tests.tools.audit --tool lighthouse      one

Home and sign-in page must have 100 of 100 in each of Lighthouse's categories, on a telephone and on a desk, and A+ of
the observatory. The table goes to stdout, the reports to var/audit/. npm gets the tools into var/audit/tools/, in
exactly the versions named here.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from tests.support.stack import ROOT
from tests.tools.catalogue import compile_catalogue
from tests.tools.scan.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

# The newest that run under Debian's node.
VERSIONS = ("lighthouse@12.8.2", "@mdn/mdn-http-observatory@1.4.8")
OUT = ROOT / "var" / "audit"
TOOLS = OUT / "tools"
PAGES = {"home": "/", "login": "/login/"}
CATEGORIES = ("performance", "accessibility", "best-practices", "seo")
FORMS: dict[str, list[str]] = {"mobile": [], "desktop": ["--preset=desktop"]}
# How an audit says that it counts: not one that does not apply, or that only informs.
COUNTED = {"binary", "numeric", "metricSavings", "error"}
# Of three: a machine that is busy with something else makes any page slow.
RUNS = 3


class Missing(SystemExit):
    """Something that is not on this machine."""


def say(text: str) -> None:
    """Write a line at once, also into a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def program(*names: str, package: str) -> str:
    """Return the path of a program."""
    for name in names:
        if found := shutil.which(name):
            return found
    raise Missing(f"make audit needs {names[0]}. Install it: sudo apt-get install {package}")


def call(*words: object, name: str, **more: str) -> str:
    """Run a tool and return what it said on stdout; its log lies beside the reports."""
    log = OUT / f"{name}.log"
    with log.open("w") as errors:
        done = subprocess.run(
            [str(word) for word in words],
            cwd=OUT, env={**os.environ, **more}, stdout=subprocess.PIPE, stderr=errors, text=True, timeout=240,
            check=False,
        )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{name} failed; see {log}\n{log.read_text()[-2000:]}{done.stdout[-2000:]}")
    return done.stdout


def install() -> None:
    """Get the tools, once for these versions."""
    stamp = TOOLS / "versions"
    if stamp.exists() and stamp.read_text() == repr(VERSIONS):
        return
    npm = program("npm", package="npm")
    shutil.rmtree(TOOLS, ignore_errors=True)
    TOOLS.mkdir(parents=True)
    # Nothing that a package brings is run while it is installed.
    call(
        npm,
        "install",
        "--prefix",
        TOOLS,
        "--no-save",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        *VERSIONS,
        name="npm",
    )
    stamp.write_text(repr(VERSIONS))


def lighthouse(site: Site) -> Iterator[tuple[str, bool]]:
    """Yield a line for each page and form, and whether it is well."""
    node, chromium = program("node", package="nodejs"), program("chromium", "google-chrome", package="chromium")
    for form, options in FORMS.items():
        for name, path in PAGES.items():
            best: dict[str, int] = dict.fromkeys(CATEGORIES, 0)
            short: list[str] = []
            for _run in range(RUNS):
                report = _report(node, chromium, f"{site.url}{path}", f"lighthouse-{name}-{form}", options)
                points = {one: round(report["categories"][one]["score"] * 100) for one in CATEGORIES}
                best = {one: max(points[one], best[one]) for one in CATEGORIES}
                short = [text for one in CATEGORIES if best[one] < 100 for text in _lost(report, one)]
                if not short:
                    break
            shown = "  ".join(f"{one} {best[one]}" for one in CATEGORIES)
            yield "\n".join([f"{name:6} {form:8} {shown}", *(f"    {text}" for text in short)]), not short


def _report(node: str, chromium: str, url: str, name: str, options: list[str]) -> dict[str, Any]:
    path = OUT / f"{name}.json"
    call(
        node, TOOLS / "node_modules" / "lighthouse" / "cli" / "index.js", url, *options,
        "--quiet", "--output=json", f"--output-path={path}", f"--only-categories={','.join(CATEGORIES)}",
        # Its certificate is of a day, and nobody's.
        "--chrome-flags=--headless=new --no-sandbox --disable-gpu --ignore-certificate-errors",
        name=name, CHROME_PATH=chromium,
    )  # fmt: skip
    report: dict[str, Any] = json.loads(path.read_text())
    if error := report.get("runtimeError"):
        raise SystemExit(f"{name}: {error['message']}")
    return report


def _lost(report: dict[str, Any], category: str) -> list[str]:
    """Return what costs a category its points."""
    audits = report["audits"]
    refs = [ref["id"] for ref in report["categories"][category]["auditRefs"] if ref["weight"]]
    lost = [
        audits[one] for one in refs if (audits[one]["score"] or 0) < 1 and audits[one]["scoreDisplayMode"] in COUNTED
    ]
    return [f"{category}: {one['title']} ({one.get('displayValue', one['score'])})" for one in lost]


def observatory(site: Site) -> Iterator[tuple[str, bool]]:
    """Yield a line for each page, and whether it is well."""
    assert site.proxy
    node = program("node", package="nodejs")
    for name, path in PAGES.items():
        said = call(
            node, ROOT / "tests" / "tools" / "audit" / "observatory.mjs", TOOLS, "127.0.0.1", site.proxy.port,
            site.proxy.plain_port, path, name=f"observatory-{name}",
            NODE_EXTRA_CA_CERTS=str(site.proxy.folder / "tls.pem"),
        )  # fmt: skip
        (OUT / f"observatory-{name}.json").write_text(said)
        found = json.loads(said)
        failed = [
            f"    {rule}: {one['result']} ({one['worth']})" for rule, one in found["rules"].items() if not one["pass"]
        ]
        well = (found["status"], found["grade"]) == (200, "A+") and not failed
        yield "\n".join([f"{name:6} {found['grade']}, {found['score']} points", *failed]), well


TOOLS_BY_NAME = {"observatory": observatory, "lighthouse": lighthouse}


def main() -> int:
    """Audit and report."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.audit", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tool", action="append", choices=TOOLS_BY_NAME, help="only this one; may be given again")
    wanted = parser.parse_args().tool or list(TOOLS_BY_NAME)
    OUT.mkdir(parents=True, exist_ok=True)
    for old in (*OUT.glob("*.log"), *OUT.glob("*.json")):
        old.unlink()
    shutil.rmtree(OUT / "run", ignore_errors=True)
    compile_catalogue()
    install()
    well = True
    with Site(OUT / "run") as site:
        if site.proxy is None:
            raise Missing("make audit needs nginx. Install it: sudo apt-get install nginx-light")
        for name in wanted:
            began = time.monotonic()
            for text, good in TOOLS_BY_NAME[name](site):
                well &= good
                say(f"{name:12} {text}")
            say(f"{name:12} {time.monotonic() - began:.0f} s")
    say(f"Reports: {OUT}")
    return 0 if well else 1
