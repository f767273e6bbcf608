"""The code that a number was sent, for a test whose site sends nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks import otp

if TYPE_CHECKING:
    from tests.support.stack import Stack


def code_for(site: Stack, mobile: str) -> str:
    """Return the newest code of a number, as the worker would work it out."""
    row = next(row for row in reversed(site.deliveries()) if row["mobile"] == f"+86{mobile}")
    return otp.digits(row["id"], row["purpose"], row["mobile"], site.settings["SECRET_KEY"])
