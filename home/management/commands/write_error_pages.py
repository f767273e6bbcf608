"""Writes the pages that a proxy shows while the site is down, or for requests that the proxy itself refuses."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.safestring import mark_safe

from project.web import static
from project.web.branding import current

if TYPE_CHECKING:
    from argparse import ArgumentParser

# The template of each page, by the status with which the proxy answers.
PAGES = {"400": "400.html", "429": "429.html", "503": "away.html"}


class Command(BaseCommand):
    """`manage.py write_error_pages DIR`: DIR/en/503.html, DIR/zh-hans/503.html, and so on."""

    help = "Writes one file a status and language, each complete in itself, for the proxy. Run it after each update."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        """Write every page. Each replaces the former one atomically, because the proxy may be reading it."""
        sheet = static.find("page.css")
        if sheet is None:
            raise CommandError("static/latchkey.css is missing")
        mark = static.find(current().mark)
        digest = base64.b64encode(hashlib.sha256(sheet.body).digest()).decode()
        policy = f"style-src 'sha256-{digest}'; img-src data:"
        context = {
            "style": mark_safe(sheet.body.decode()),  # noqa: S308 (our own stylesheet)
            "policy": f"default-src 'none'; {policy}; base-uri 'none'; form-action 'none'",
            "mark_data": _data_url(mark) if mark else "",
        }
        for language, _name in settings.LANGUAGES:
            folder: Path = options["folder"] / language
            try:
                folder.mkdir(parents=True, exist_ok=True)
                for status, template in PAGES.items():
                    with translation.override(language):
                        page = render_to_string(template, context)
                    fresh = folder / f".{status}.html"
                    fresh.write_text(page)
                    fresh.replace(folder / f"{status}.html")
            except OSError as error:
                raise CommandError(f"cannot write {folder}: {error.strerror}") from None
        self.stdout.write(f"Wrote {', '.join(PAGES)} in {len(settings.LANGUAGES)} languages to {options['folder']}.")


def _data_url(file: static.File) -> str:
    """Return an address that is the file itself."""
    return f"data:{file.type.partition(';')[0]};base64,{base64.b64encode(file.body).decode()}"
