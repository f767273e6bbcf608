"""Readable usernames for accounts that begin with a code: `calm-heron-4821`."""

from __future__ import annotations

import secrets

# Short, kind, and hard to misread; together with four digits at most 20 letters.
QUALITIES = (
    "amber brave bright calm clear clever eager early fair fresh gentle glad golden happy keen kind light "
    "lively lucky merry mild neat noble proud quick quiet ready rosy silver smart snowy sunny swift tidy vivid warm"
).split()
CREATURES = (
    "badger bear bee bison crane deer dove eagle falcon finch fox gecko goose hare hawk heron ibex jay kite koala "
    "lark lemur lion lynx magpie marten moose newt orca otter owl panda pony puffin raven robin seal stork swan tiger "
    "turtle weasel whale wolf wren yak"
).split()


def readable() -> str:
    """Return a random username. Some 20 million exist; the caller tries again when one is taken."""
    return f"{secrets.choice(QUALITIES)}-{secrets.choice(CREATURES)}-{secrets.randbelow(10_000):04}"
