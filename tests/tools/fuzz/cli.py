"""`make fuzz`: every target for a bounded time, two at once, and what broke.

    python -m tests.tools.fuzz                              all targets, two minutes each
    python -m tests.tools.fuzz --seconds 30 --target next   one, shorter; may be given again
    python -m tests.tools.fuzz --target frames --repeat F   an input that atheris wrote down, once more

A target that atheris can be led by has half of its time with Hypothesis and half with atheris. What broke a property
is shown, kept in var/fuzz/<target>/, and tried first the next time. It ends with 1 when anything broke.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.tools.fuzz.hunt import hunt
from tests.tools.fuzz.targets import ALL

ROOT = Path(__file__).resolve().parents[3]
OUT = ROOT / "var" / "fuzz"
LOCK = ROOT / "tests" / "tools" / "fuzz" / "requirements.lock"
ATHERIS = OUT / f"atheris-{sys.version_info.major}.{sys.version_info.minor}"
# Seconds more than its own that a target may take: to start, to shrink what it found, to stop.
GRACE = 90


def say(text: str) -> None:
    """Write a line at once, also into a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def install() -> bool:
    """Get atheris beside our own environment; tell whether it is there."""
    if not (ATHERIS / "atheris").is_dir():
        shutil.rmtree(ATHERIS, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
        words = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--target", str(ATHERIS), "-r", str(LOCK)]
        subprocess.run([*pip, *words], capture_output=True, check=False)
    return (ATHERIS / "atheris").is_dir()


def run(command: list[str], seconds: float, log: Path) -> tuple[int, str]:
    """Run a process with its words in a file; return its exit code, -1 when it had to be ended, and the words."""
    path = os.pathsep.join([str(ROOT), str(ATHERIS)])
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=ROOT, env={**os.environ, "PYTHONPATH": path},
            stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            code = process.wait(seconds + GRACE)
        except subprocess.TimeoutExpired:
            # It says where it hangs.
            process.send_signal(signal.SIGABRT)
            process.wait()
            code = -1
    return code, log.read_text(errors="replace")


def one(name: str, seconds: float, *, guided: bool) -> tuple[str, bool]:
    """Run one target; return what to say of it, and whether it held."""
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    guided = guided and ALL[name].guided
    share = seconds / 2 if guided else seconds
    began = time.monotonic()
    code, words = run(
        ["tests.tools.fuzz", "--child", "--target", name, "--seconds", str(share)], share, folder / "hunt.log"
    )
    tried = re.search(r"^tried ([0-9]+)$", words, re.MULTILINE)
    said = f"{tried[1] if tried else '?':>8} by Hypothesis"
    broken = [] if code == 0 else [f'{words[-6000:]}\nAgain: make fuzz ARGS="--target {name}"']
    if guided:
        command = ["tests.tools.fuzz.guided", name, str(int(share)), str(folder)]
        code, words = run(command, share, folder / "guided.log")
        runs = re.findall(r"stat::number_of_executed_units: ([0-9]+)", words)
        said += f", {runs[-1] if runs else '?':>8} by atheris"
        if code:
            kept = re.findall(r"Test unit written to (\S+)", words)
            again = f' --repeat {kept[-1]}"' if kept else '"'
            broken.append(f'{words[-6000:]}\nAgain: make fuzz ARGS="--target {name}{again}')
    verdict = "BROKEN" if broken else "held"
    return "\n".join([f"{name:12} {time.monotonic() - began:4.0f} s {said:42} {verdict}", *broken]), not broken


def child(name: str, seconds: float) -> int:
    """Be the process that hunts for one target."""
    tried, broken = hunt(ALL[name], seconds, OUT / name)
    say(f"tried {tried}")
    if broken:
        say(broken)
    return 1 if broken else 0


def main() -> int:
    """Fuzz and report."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.fuzz", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120, help="for each target")
    parser.add_argument("--target", action="append", choices=ALL, help="only this one; may be given again")
    parser.add_argument("--repeat", help="a file that atheris wrote, for the one target that is given")
    parser.add_argument("--jobs", type=int, default=2, help="targets at a time")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    names: list[str] = options.target or list(ALL)
    if options.child:
        return child(names[0], options.seconds)
    OUT.mkdir(parents=True, exist_ok=True)
    guided = install()
    if options.repeat:
        command = ["tests.tools.fuzz.guided", names[0], "1", str(OUT / names[0]), options.repeat]
        code, words = run(command, 60, OUT / "repeat.log")
        say(words)
        return 1 if code else 0
    if not guided:
        say("atheris is not to be had for this Python or machine: Hypothesis alone has all the time.")
    with ThreadPoolExecutor(options.jobs) as pool:
        results = []
        for text, held in pool.map(lambda name: one(name, options.seconds, guided=guided), names):
            say(text)
            results.append(held)
    say(f"{len(results)} targets, {results.count(False)} broken. Everything: {OUT}")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
