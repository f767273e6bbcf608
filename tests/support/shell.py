"""An operator's `manage.py shell` that stays open: a new one takes half a second of a processor for each sentence."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Seconds that one sentence may take.
PATIENCE = 60

LOOP = """
import contextlib, io, json, sys, traceback
import django
django.setup()
from django.core.management import call_command
from django.db import connections
for line in sys.stdin:
    said, problem = io.StringIO(), ""
    try:
        with contextlib.redirect_stdout(said):
            call_command("shell", "-v0", "-c", json.loads(line))
    except BaseException:
        problem = traceback.format_exc()
    # Nothing of the database is held while nobody says anything.
    connections.close_all()
    print(json.dumps([said.getvalue(), problem]), flush=True)
"""


class Shell:
    """The shell of one site, with the environment that the site has when it is opened."""

    def __init__(self, root: Path, environment: dict[str, str]) -> None:
        """Open it where the site's manage.py is."""
        self.environment = dict(environment)
        self.process = subprocess.Popen(
            [sys.executable, "-c", LOOP],
            cwd=root, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, start_new_session=True,
        )  # fmt: skip

    def say(self, code: str) -> str:
        """Run code and return what it printed; fail as the command would."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(code) + "\n")
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            self.close()
            raise subprocess.TimeoutExpired("manage.py shell", PATIENCE)
        said, problem = json.loads(self.process.stdout.readline())
        if problem:
            raise subprocess.CalledProcessError(1, "manage.py shell", said, problem)
        return str(said)

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
