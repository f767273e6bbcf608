"""Begins. See tests/audit/cli.py."""

from __future__ import annotations

import sys

# It decides what the environment of this process is.
import tests.environment  # noqa: F401
from tests.audit import cli

if __name__ == "__main__":
    sys.exit(cli.main())
