"""What the open pages are told of a delivery. An event carries no content: each page reads the row."""

from __future__ import annotations

# The event on a browser's group when a row has changed.
CHANGED = "delivery.changed"
# The same, when Redis has let a request in and its row is just being written.
ACCEPTED = "delivery.accepted"


def group(browser: str) -> str:
    """Return the name of the group that a browser's pages listen to."""
    return f"browser.{browser}"
