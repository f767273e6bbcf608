"""Sets Django up, for what the runs read of the product, and begins. See tests/tools/chaos/cli.py."""

from __future__ import annotations

import os
import sys

import django

# It decides what the environment of this process is.
import tests.support.environment  # noqa: F401


def main() -> int:
    """Begin, once there are settings."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
    django.setup()
    from tests.tools.chaos import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
