"""Begins. See tests/tools/audit/cli.py."""

from __future__ import annotations

import sys

# It decides what the environment of this process is.
import tests.support.environment  # noqa: F401
from tests.tools.audit import cli

if __name__ == "__main__":
    sys.exit(cli.main())
