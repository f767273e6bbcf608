"""`make fuzz`: arbitrary input for whatever reads input, for a bounded time.

A target is a property with a strategy that makes its input. Hypothesis walks through them, atheris is led by which
lines of ours an input reaches. What they find becomes a test in tests/tools/test_fuzz_seeds.py, which also holds each
property for a second in `make test`.

target.py says what a target is; numbers, forms, receipts, answers, addresses, frames and site hold them by subject;
hunt.py and guided.py run one; cli.py runs all and reports.
"""
