"""`make scan`: a site without DEBUG behind the nginx of docs/operators.md, and public tools against it.

    python -m tests.tools.scan                   all of them, some six minutes
    python -m tests.tools.scan --tool sqlmap     one; may be given again

The table goes to stdout, reports and logs to var/scan/. It ends with 1 when a finding has no answer in
tests/tools/scan/answered.py, when a tool broke, or when T-57 or the log is not as it must be. A tool that is missing is
named, and no failure.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import time
from dataclasses import asdict

from tests.tools.scan import drip, tools
from tests.tools.scan.answered import answer
from tests.tools.scan.site import Site

# Seconds for everything, after the tools are installed.
LONGEST = 600
OUT = tools.OUT
NAMES = (*tools.ALL, "slow-loris")


def say(text: str) -> None:
    """Write a line at once, also into a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _late(_number: int, _frame: object) -> None:
    raise SystemExit(f"ended: it took more than {LONGEST} s")


def _ended(_number: int, _frame: object) -> None:
    raise SystemExit("ended by SIGTERM")


def slow(site: Site) -> tuple[str, bool]:
    """T-57. Return what to say, and whether it is well."""
    if site.proxy is None:
        return "missing: there is no nginx; daphne by itself waits for a slow visitor", True
    result = drip.run(site.proxy.port, site.url)
    well = result.longest <= drip.LONGEST and result.p99 < 1 and not result.failures
    return f"{'ok' if well else 'FAILED'}: {result}{'; ' if result.failures else ''}{result.failures[:3] or ''}", well


def use(name: str, site: Site) -> tuple[str, bool]:
    """Run one tool, and return what to say and whether it is well."""
    if name == "slow-loris":
        return slow(site)
    try:
        findings = tools.ALL[name](site)
    except tools.Missing as missing:
        return f"missing: {missing}", True
    except tools.Broken as broken:
        return f"BROKEN: {broken}", False
    told = [{**asdict(finding), "answer": answer(finding)} for finding in findings]
    (OUT / f"{name}.findings.json").write_text(json.dumps(told, indent=1))
    fresh = [finding for finding in findings if not answer(finding)]
    lines = [f"{len(findings)} findings, {len(findings) - len(fresh)} answered", *(f"  NEW {each}" for each in fresh)]
    return "\n".join(lines), not fresh


def main() -> int:
    """Scan and report."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.scan", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tool", action="append", choices=NAMES, help="only this one; may be given again")
    wanted = parser.parse_args().tool or NAMES
    OUT.mkdir(parents=True, exist_ok=True)
    for old in (*OUT.glob("*.log"), *OUT.glob("*.json")):
        old.unlink()
    shutil.rmtree(OUT / "run", ignore_errors=True)
    if problem := tools.install():
        say(f"pip: {problem}")
    signal.signal(signal.SIGALRM, _late)
    signal.signal(signal.SIGTERM, _ended)
    signal.alarm(LONGEST)
    well = True
    with Site(OUT / "run") as site:
        say(f"{site.url}, " + ("behind nginx" if site.proxy else "daphne itself, for nginx is missing"))
        for name in wanted:
            began = time.monotonic()
            text, good = use(name, site)
            well &= good
            say(f"{name:15} {time.monotonic() - began:4.0f} s  {text}")
        tracebacks, statuses = site.tracebacks(), site.statuses()
    errors = sum(number for status, number in statuses.items() if status >= 500)
    say(f"{'log':15}         {len(tracebacks)} tracebacks, {sum(statuses.values())} answers, {errors} of them 5xx")
    # Whether the tools got as far as the views: those answer 200, 202, 302 and 422.
    say(f"{'':24} " + ", ".join(f"{number} x {status}" for status, number in sorted(statuses.items())))
    for line in sorted(set(tracebacks)):
        say(f"  NEW {line}")
    say(f"Reports: {OUT}")
    return 0 if well and not tracebacks and not errors else 1
