"""The map of the tree in docs/development.md: every package and top-level module, each with its purpose.

    python -m tests.tools.tree_map        writes the map anew

A purpose is the first sentence of the package's or module's docstring. Where that is empty, `LISTED` has it.
"""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "development.md"
# The code block of the page that this module writes.
BLOCK = re.compile(r"(<!-- python -m tests\.tools\.tree_map -->\n+```text\n)(.*?)(^```$)", re.MULTILINE | re.DOTALL)
# Deeper packages are a gateway's or a command's own business.
DEPTH = 2
UNLISTED = {"migrations", "management", "commands"}
WIDTH = 30

LISTED = {
    "accounts/": "Users, sign-in, and the pages and sockets of a visitor.",
    "accounts/codes/": "Codes: request, issue, check, and the limits on them.",
    "accounts/dev/": "The style guide, in development only.",
    "accounts/live/": "What an open page shows, and how it is kept up to date.",
    "accounts/passwords/": "Changing a password: the page, the rules, the hasher.",
    "accounts/sessions/": "The session store and the browser id.",
    "accounts/throttling/": "Failed attempts, proof of work, client IP.",
    "bench/": "Benchmarks against comparable software.",
    "bench/bare/": "A site with one template view, to compare with.",
    "bench/peers/": "django-allauth, Celery and a tutorial's view, to compare with.",
    "bin/": "Scripts that the Makefile calls.",
    "docs/": "These pages.",
    "home/": "The home page.",
    "locale/": "Translations.",
    "project/": "Settings, the server, and everything that knows neither users nor deliveries.",
    "project/broker/": "The Huey instance, its serializer, RabbitMQ.",
    "project/live/": "Pushes to open pages, groups, the base of a socket.",
    "project/run/": "`make run`: the runner, its child processes, the embedded Valkey.",
    "project/server/": "Everything between the port and Django.",
    "project/web/": "Middleware: static files, CSP, headers, compression, error pages.",
    "static/": "One stylesheet per kind of page, a few scripts, icons. There is no build step.",
    "tasks/": "Everything that happens after the response: deliveries, providers, the sweeper.",
    "tasks/delivery/": "Every step of a delivery's row.",
    "tasks/dev/": "The dev phone's page.",
    "tasks/gateways/": "One module or folder for each SMS provider.",
    "tasks/routing/": "The order of the gateways, and the circuit breaker.",
    "templates/": "Pages, and the parts of a page that are pushed.",
    "tests/": "The tests, in the same folders as the code.",
    "tests/accounts/": "Tests of `accounts/`.",
    "tests/browser/": "Tests in a real Chromium.",
    "tests/docs/": "Tests of the documentation and translations.",
    "tests/pages/": "Tests of pages as they go over the line: HTML, headers, weight.",
    "tests/project/": "Tests of `project/`.",
    "tests/support/": "What tests share: a whole site, a visitor, a provider.",
    "tests/tasks/": "Tests of `tasks/`.",
    "tests/tools/": "Programs: chaos, fuzz, scan, audit, timing, pictures, generators of documentation.",
    "asgi.py": "The application: HTTP to Django, WebSockets to Channels.",
    "manage.py": "Django's command line.",
}


def tree() -> dict[str, Path]:
    """Return every folder and top-level module of the repository that the map lists."""
    said = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    files = [path for name in said.stdout.splitlines() if (path := ROOT / name).exists()]
    found: dict[str, Path] = {}
    for path in files:
        *folders, name = path.relative_to(ROOT).parts
        if not folders and name.endswith(".py"):
            found[name] = path
        elif folders and not folders[0].startswith("."):
            found[f"{folders[0]}/"] = ROOT / folders[0] / "__init__.py"
        if name == "__init__.py" and 1 < len(folders) <= DEPTH and not UNLISTED & set(folders):
            found["/".join(folders) + "/"] = path
    return dict(sorted(found.items(), key=lambda each: (not each[0].endswith("/"), each[0])))


def purpose(name: str, path: Path) -> str:
    """Return what a folder or module is for, empty if nothing says so."""
    if name in LISTED:
        return LISTED[name]
    docstring = ast.get_docstring(ast.parse(path.read_text())) if path.exists() else None
    first = re.split(r"(?<=\.)\s", " ".join((docstring or "").split()), maxsplit=1)[0]
    return first.strip()


def drawn() -> str:
    """Return the map as text, a line for each folder and module."""
    lines = []
    for name, path in tree().items():
        *above, own, rest = f"{name} ".split("/") if name.endswith("/") else (name, "")
        shown = "  " * len(above) + own + ("/" if rest == " " else "")
        lines.append(f"{shown:{WIDTH}}{purpose(name, path)}".rstrip())
    return "\n".join(lines) + "\n"


def written() -> str:
    """Return the page with the map anew."""
    return BLOCK.sub(lambda block: f"{block[1]}{drawn()}{block[3]}", PAGE.read_text())


if __name__ == "__main__":
    PAGE.write_text(written())
