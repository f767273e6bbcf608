"""Events for the open pages of a browser. An event carries no content: each page reads the row."""

from __future__ import annotations

# A row has changed.
CHANGED = "delivery.changed"
# Redis has accepted a request, and its row is being written.
ACCEPTED = "delivery.accepted"


def group(browser: str) -> str:
    """Return the name of the group that a browser's pages listen to."""
    return f"browser.{browser}"
