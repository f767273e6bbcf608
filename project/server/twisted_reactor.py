"""Twisted's reactor, which daphne runs, as far as we use it: its public interface, without types."""

from __future__ import annotations

from typing import Any


def running() -> Any:
    """Return the reactor. Importing it chooses one, which is daphne's to do: call this under daphne only."""
    from twisted.internet import reactor

    return reactor


def listening_ports() -> list[Any]:
    """Return the ports that daphne listens on."""
    from twisted.internet.interfaces import IListeningPort

    return [reader for reader in running().getReaders() if IListeningPort.providedBy(reader)]
