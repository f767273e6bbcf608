"""Chaos: a whole site under a crowd while everything is killed, hung and cut, and a checker that reads what is left.

    python -m tests.tools.chaos --seed 3        # one run again, as `make chaos` makes it
    python -m tests.tools.chaos                 # all of them

`plans` says what is run, `site` builds it, `crowd` uses it, `faults` breaks it, `record` is all that was seen, and
`checker` decides, from the record alone, whether every promise was kept. `plain` is a sender that keeps no row: it
proves that the checker can fail.
"""

from __future__ import annotations
