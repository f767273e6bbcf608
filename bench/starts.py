"""How long a developer waits: `make run` on a folder that has been used before, and `manage.py check`."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from bench.figures import Figure
from tests.support.stack import ROOT, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.figures import Pace
    from bench.sites import Sites

READY = "Latchkey is ready"


class Starts:
    """What a start takes. Times, for they are what is promised."""

    def __init__(self, running: Sites, pace: Pace) -> None:
        """Take where files go. Nothing else of this run is used."""
        folder = running.folder("starts")
        folder.mkdir(parents=True, exist_ok=True)
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        self.environment = {
            **kept,
            "ENV_FILE": "",
            "DEBUG": "1",
            "VAR_DIR": str(folder),
            "PORT": str(free_port()),
            "SECRET_KEY": secrets.token_urlsafe(40),
        }
        self.rounds = pace.rounds

    def measures(self) -> Sequence[Callable[[], list[Figure]]]:
        """Return everything, in order."""
        return (self.run, self.check)

    def run(self) -> list[Figure]:
        """A warm `make run`, until it is ready."""
        # The first one makes the database.
        self._until_ready()
        return [Figure("make run, warm, until it is ready", 3, "at most", self._rounds(self._until_ready), " s")]

    def check(self) -> list[Figure]:
        """`manage.py check`."""
        self._check()
        return [Figure("manage.py check", 1, "at most", self._rounds(self._check), " s")]

    def _rounds(self, measure: Callable[[], float]) -> list[float]:
        return [measure() for _ in range(self.rounds)]

    def _check(self) -> float:
        began = time.monotonic()
        subprocess.run(
            [sys.executable, "manage.py", "check"],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        return time.monotonic() - began

    def _until_ready(self) -> float:
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "project.run", "--development"],
            cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            said = []
            for line in process.stdout:
                said.append(line)
                if line.startswith(READY):
                    return time.monotonic() - began
            raise AssertionError(f"make run did not get ready: {''.join(said)}")
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate()
