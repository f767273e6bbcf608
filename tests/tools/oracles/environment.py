"""The environment that the SDKs are installed in, and one call of one of them.

They bring some thirty packages that nothing else needs, so they are kept apart from ours, in var/oracles.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
OUT = ROOT / "var" / "oracles"
HERE = OUT / f"python-{sys.version_info.major}.{sys.version_info.minor}"
PYTHON = HERE / "bin" / "python"
LOCK = Path(__file__).with_name("requirements.lock")
SDK = Path(__file__).with_name("sdk.py")
# An index or a proxy that hangs, and an SDK that waits for an answer.
INSTALL_SECONDS = 170
CALL_SECONDS = 60


def install() -> str:
    """Install the SDKs, once for a lock file. Return what went wrong, or nothing."""
    OUT.mkdir(parents=True, exist_ok=True)
    with (OUT / "lock").open("w") as lock:
        # Two test processes may both come here first.
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = HERE / "lock.sha256"
        wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
        if stamp.exists() and stamp.read_text() == wanted:
            return ""
        shutil.rmtree(HERE, ignore_errors=True)
        pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
        # Not --only-binary: alibabacloud-tea comes as source alone.
        words = ["--no-deps", "--require-hashes", "-r", str(LOCK)]
        for command in ([sys.executable, "-m", "venv", str(HERE)], [*pip, *words]):
            try:
                done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS)
            except subprocess.TimeoutExpired:
                return f"pip did not end within {INSTALL_SECONDS} s"
            if done.returncode:
                return (done.stderr.strip().splitlines() or ["pip failed"])[-1]
        stamp.write_text(wanted)
        return ""


def call(name: str, **words: Any) -> Any:
    """Call a function of sdk.py in that environment, and return what it returns."""
    # Without our environment's variables: an SDK reads credentials and proxies from them.
    done = subprocess.run(
        [str(PYTHON), str(SDK), name], input=json.dumps(words), capture_output=True, text=True, check=False,
        timeout=CALL_SECONDS, env={"PATH": "/usr/bin:/bin", "TZ": "Asia/Shanghai"},
    )  # fmt: skip
    assert done.returncode == 0, f"{name}: {done.stderr[-3000:]}"
    return json.loads(done.stdout.splitlines()[-1])
