"""`make scan`: public tools and a slow-loris against a site of its own, as it stands in the world.

cli.py runs them, site.py is what they run against, proxy.py the nginx of docs/operators.md, tools.py gets and calls
the tools, drip.py is T-57, answered.py says of each finding that is none why it is none.
"""
