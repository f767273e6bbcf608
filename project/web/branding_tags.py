"""The template tag `{% get_branding as branding %}`. It is built in, so a template need not load it."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from typing import Any

from django.template import Library

from project.web.branding import current

register = Library()


@register.simple_tag
@cache
def get_branding() -> dict[str, Any]:
    """Return the site's name, pictures and links. A dict: a template looks there first, and for an attribute last."""
    return asdict(current())
