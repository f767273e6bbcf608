"""The apps of a site's own (SITE_APPS): their URLs and sockets are found by the names that Django and Channels use."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings
from django.urls import include, path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.urls import URLPattern, URLResolver


def urlpatterns() -> list[URLPattern | URLResolver]:
    """Return the URLs of each app that has a `urls.py`, at the root of the site."""
    return [path("", include(f"{package}.urls")) for package in _packages_with("urls")]


def websocket_urlpatterns() -> list[Any]:
    """Return the sockets of each app that has a `routing.py`, from its `websocket_urlpatterns`."""
    return [
        pattern
        for package in _packages_with("routing")
        for pattern in import_module(f"{package}.routing").websocket_urlpatterns
    ]


@cache
def sockets() -> dict[str, str]:
    """Return the paths of those sockets that have a name: the URL name of the page that opens them."""
    return {pattern.name: f"/{pattern.pattern}" for pattern in websocket_urlpatterns() if pattern.name}


def _packages_with(module: str) -> Iterator[str]:
    """Return the packages of those apps that have a module of this name."""
    for config in apps.get_app_configs():
        named = {config.name, f"{type(config).__module__}.{type(config).__qualname__}"}
        if not named.isdisjoint(settings.SITE_APPS) and find_spec(f"{config.name}.{module}"):
            yield config.name
