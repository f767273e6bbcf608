"""Start the whole site: `python -m project.run`."""

from __future__ import annotations

import sys

from project.run.runner import main

sys.exit(main())
