"""A site of one's own, made in a copy of Latchkey as docs/own-site.md and docs/tutorial.md say."""

from __future__ import annotations

import re
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support import stack as stacks
from tests.support.stack import ROOT, Stack
from tests.tools.catalogue import compile_catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The app that each page makes.
APPS = {"notes": ROOT / "docs" / "own-site.md", "guestbook": ROOT / "docs" / "tutorial.md"}


def listings(page: Path) -> Iterator[tuple[str, str]]:
    """Return every file that a page shows in full: its name stands in a line of its own before it."""
    yield from re.findall(r"^`([\w./-]+)`:\n\n```\w+\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


@contextmanager
def made_as_documented(clone: Path) -> Iterator[Stack]:
    """Make the site in a folder and start it. /other/ and /other/private/ have the documented base template."""
    compile_catalogue()
    for name in ("accounts", "home", "project", "tasks", "templates", "static", "locale"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("asgi.py", "manage.py", "pyproject.toml"):
        shutil.copy(ROOT / name, clone / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stacks, "ROOT", clone)
        stack = Stack(clone / "var", **stacks.REAL)
        for app, page in APPS.items():
            said = page.read_text()
            assert f"manage.py startapp {app}\n" in said, "or this test means nothing"
            stack.manage("startapp", app)
            # A file that is shown a second time has been changed.
            for name, text in listings(page):
                path = clone / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            assert f"`SITE_APPS={app}`" in said, "or this test means nothing"
        _add_other_pages(clone)
        stack.environment["SITE_APPS"] = ",".join(APPS)
        with stack:
            yield stack


def _add_other_pages(clone: Path) -> None:
    """Add pages with the base template of one's own, which the document leaves to the reader."""
    pages = {
        "other": '{% extends "notes/base.html" %}{% block content %}<h1>Other</h1>{% endblock %}',
        "private": '{% extends "notes/base.html" %}{% block body %} data-private{% endblock %}'
        '{% block content %}<h1 id="diary">The diary of {{ user.username }}</h1>{% endblock %}',
    }
    for name, source in pages.items():
        (clone / f"templates/notes/{name}.html").write_text(source)
    views = (
        'def other(request):\n    return render(request, "notes/other.html")\n\n\n'
        '@login_required\ndef private(request):\n    return render(request, "notes/private.html")\n\n\n'
    )
    urls = 'path("other/", views.other), path("other/private/", views.private), '
    for name, before, after in (
        ("notes/urls.py", "urlpatterns = [", f"urlpatterns = [{urls}"),
        ("notes/views.py", "@login_required\n", f"{views}@login_required\n"),
    ):
        text = (clone / name).read_text()
        assert text.count(before) == 1, name
        (clone / name).write_text(text.replace(before, after))
