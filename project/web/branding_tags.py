"""The template tag `{% get_branding as branding %}`. It is built in, so a template need not load it."""

from __future__ import annotations

from django.template import Library

from project.web.branding import Branding, current

register = Library()


@register.simple_tag
def get_branding() -> Branding:
    """Return the site's name, pictures and links."""
    return current()
