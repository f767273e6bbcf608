"""One target with atheris, in a process of its own: libFuzzer ends the process when it is done.

    python -m tests.tools.fuzz.guided numbers 60 var/fuzz/numbers [file that broke it]

Our modules are instrumented as they are imported, so this imports them itself.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tests.support.environment  # noqa: F401

if TYPE_CHECKING:
    from collections.abc import Callable

# What leads it, and nothing else.
OURS = ["accounts", "tasks", "project"]
THEIRS = [
    "phonenumbers.phonenumberutil", "autobahn.websocket.protocol", "autobahn.websocket.utf8validator",
    "daphne.ws_protocol",
]  # fmt: skip


def main() -> None:
    """Fuzz one target."""
    name, seconds, folder, *again = sys.argv[1:]
    # Not in the development environment: `make fuzz` gets it into var/fuzz/.
    atheris: Any = importlib.import_module("atheris")
    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
    with atheris.instrument_imports(include=OURS + THEIRS, exclude=_others()):
        importlib.import_module("django").setup()
        target = importlib.import_module("tests.tools.fuzz.targets").ALL[name]
    # Without a parser of bytes, Hypothesis makes the input out of what atheris gives it.
    one: Callable[[bytes], Any] = target.raw or _structured(target)
    corpus = Path(folder) / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    bounds = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=2048", "-max_len=4096", "-verbosity=1"]
    where = again or [str(corpus)]
    atheris.Setup([sys.argv[0], *bounds, "-print_final_stats=1", f"-artifact_prefix={folder}/", *where], one)
    atheris.Fuzz()


def _others() -> list[str]:
    """Return what atheris would take along with THEIRS, which is whole packages and a minute of work."""
    names = []
    for top in {name.partition(".")[0] for name in THEIRS}:
        spec = importlib.util.find_spec(top)
        assert spec
        assert spec.submodule_search_locations
        root = Path(spec.submodule_search_locations[0])
        found = (path.relative_to(root.parent).with_suffix("") for path in root.rglob("*.py"))
        names += [".".join(path.parts).removesuffix(".__init__") for path in found]
    return [name for name in names if name not in THEIRS]


def _structured(target: Any) -> Callable[[bytes], Any]:
    hypothesis = importlib.import_module("hypothesis")
    bounds = hypothesis.settings(database=None, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
    made: Callable[[bytes], Any] = bounds(hypothesis.given(target.given)(target.check)).hypothesis.fuzz_one_input
    return made


if __name__ == "__main__":
    main()
