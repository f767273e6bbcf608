"""The leaves of a page as HTML: page, reply and push are made of these."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from django.template.loader import render_to_string
from django.utils import translation
from django.utils.html import escape

from accounts.live.state import State

# Stands for a mobile number in HTML that is cached for all who are shown the same: no number and no name contains it.
NUMBER = "\ue000"


def leaves(state: State, *names: str) -> str:
    """Return the named leaves (`account`, `delivery`, `countdown`, `connection`, `live`) as one push or reply."""
    if "delivery" in names:
        # After it, for a page that leaves the same delivery alone.
        names = (*names, "life")
    # Without what is one visitor's own, or stands in a leaf by itself.
    shared = replace(
        state, mobile=NUMBER if state.mobile else "", username="",
        minutes=0, changes_in=0.0, wait=0.0, resend_at=None, expires_at=None,
    )  # fmt: skip
    return "\n".join(_leaf(name, state, shared) for name in names)


def _leaf(name: str, state: State, shared: State) -> str:
    """Return one leaf. Thousands of pages show the same few: only a name and a number are somebody's own."""
    if name == "account" and state.username:
        return _rendered.__wrapped__(name, state, "")
    if name == "countdown" and state.wait:
        # Nobody is shown a fraction. A countdown is in no other leaf, and in its own there is nothing else.
        shared = replace(shared, wait=state.seconds)
    if name == "life":
        shared = State(minutes=state.minutes)
    return _rendered(name, shared, translation.get_language()).replace(NUMBER, escape(state.mobile))


@lru_cache(maxsize=512)
def _rendered(name: str, state: State, _language: str | None) -> str:
    return render_to_string(f"live.html#{name}", {"state": state, "oob": True, "oob_life": name == "life"})


@lru_cache(maxsize=64)
def at_first(name: str, language: str) -> str:
    """Return a leaf, or a template, as every page has it whose visitor has done nothing yet. Rendered once."""
    with translation.override(language):
        return render_to_string(name, {"state": State(), "prefix": "", "oob": False, "oob_life": False})


@lru_cache(maxsize=1024)
def countdown(seconds: int, language: str) -> str:
    """Return the countdown's leaf. Rendered once a value, not once a page."""
    with translation.override(language):
        return leaves(State(wait=seconds), "countdown")
