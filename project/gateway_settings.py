"""The settings of the gateways: each gateway declares its own, in a `settings.py` beside its class.

`SETTINGS` in that file lists them, and its docstring explains them in .env.example and docs/settings.md. If it has a
function `check(values)`, that function refuses values which are wrong in a way that only this gateway knows.
"""

from __future__ import annotations

import runpy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from project import env


@dataclass(frozen=True, slots=True)
class Setting:
    """One environment variable of a gateway.

    `<GATEWAY>_BASE_URL` has to be https outside DEBUG, and `<GATEWAY>_RECEIPT_SECRET` has to fit into an address.
    """

    name: str
    default: str = ""
    # The gateway cannot work without a value.
    required: bool = False
    # The name of another setting that will do in its place.
    instead: str = ""
    # The name of a setting of the site whose value is used if this one is not set.
    fallback: str = ""
    # The value is replaced by *** in every log line.
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Declaration:
    """What one gateway declares."""

    settings: tuple[Setting, ...] = ()
    words: str = ""
    check: Callable[[Mapping[str, str]], None] | None = None


def declared(gateways: Mapping[str, str]) -> dict[str, Declaration]:
    """Return each gateway's declaration, by its name. `gateways` has the dotted name of each gateway's class.

    The file is run by its path. An import would import its package, and with it the gateway's HTTP client, which every
    process would wait for at its start, and which may not be installed.
    """
    return {name: _declaration(dotted.rpartition(".")[0]) for name, dotted in gateways.items()}


def read(declarations: Mapping[str, Declaration]) -> dict[str, str]:
    """Return the value of every gateway's every setting, by the setting's name."""
    every = (setting for declaration in declarations.values() for setting in declaration.settings)
    return {each.name: env.text(each.name, _fallback(each)) for each in every}


def _fallback(setting: Setting) -> str:
    return (env.text(setting.fallback) if setting.fallback else "") or setting.default


def secrets(declarations: Mapping[str, Declaration]) -> list[str]:
    """Return the values that no log may show."""
    every = (setting for declaration in declarations.values() for setting in declaration.settings)
    return [env.text(setting.name) for setting in every if setting.secret]


def _declaration(module: str) -> Declaration:
    spec = find_spec(module)
    if spec is None:
        raise ModuleNotFoundError(f"GATEWAYS names {module}, and there is no such module")
    for folder in spec.submodule_search_locations or ():
        file = Path(folder) / "settings.py"
        if file.exists():
            found = runpy.run_path(str(file))
            return Declaration(tuple(found["SETTINGS"]), found["__doc__"], found.get("check"))
    return Declaration()
