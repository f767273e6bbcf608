"""The findings that are none, and why. What is not listed here ends `make scan` with 1."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tests.tools.scan.tools import Finding

# What the scan adds to a complaint about a form's token that it has looked into by itself.
CHECKED = " (a false token is refused, the right one is not)"


class Answered(NamedTuple):
    """Which findings this answers, and the answer. Rule, place and text are regular expressions for the whole."""

    tool: str
    rule: str
    where: str
    why: str
    text: str = ".*"


ANSWERED = (
    # Code.
    Answered("bandit", "B105", r"accounts/forms\.py:.*", "a word for a fault, and no secret", r".*'PASSWORD_FORMAT'"),
    Answered("bandit", "B311", r"accounts/(consumers|looks)\.py:.*|project/(broker/connection|run/valkey)\.py:.*",
             "chance that spreads load or picks a port; what must not be guessed comes from `secrets`"),
    Answered("bandit", "B311", r"tasks/decoy\.py:.*",
             "which of the gateway's past times a decoy takes: whoever foresees it still does not know it for a decoy"),
    Answered("bandit", "B404|B603", r"project/(child|run|valkey)\.py:.*",
             "the runner starts our own parts, with a list of words, no shell and nothing from outside"),
    Answered("bandit", "B104", r"project/run\.py:.*", "HOST=0.0.0.0 is compared with, to print an address that opens"),
    Answered("detect-secrets", ".*", r"tests/.*", "throw-away values of tests, for parts that a test starts itself"),
    Answered("detect-secrets", "Basic Auth Credentials", r"\.env\.example:.*|docs/.*|project/\w+\.py:.*",
             "`user:password` as an example of how an address is written"),
    Answered("detect-secrets", "Secret Keyword", r"accounts/forms\.py:.*", "the word PASSWORD_FORMAT"),
    Answered("detect-secrets", "Base64 High Entropy String", r"accounts/weak\.py:.*",
             "the alphabet and a keyboard's rows"),
    # Proxy.
    Answered("sslyze", "certificate_path_validation", "nginx", "the certificate is the scan's own, made for a day"),
    # Pages.
    Answered("wapiti", "Cross Site Request Forgery", r"POST /.*",
             "the scan has posted to it with a false token and got 403, and with the right one and got something else; "
             "the tool's own right token is refused as well by then, and it only compares the two answers",
             f".*{re.escape(CHECKED)}"),
    Answered("wapiti", "HttpOnly Flag cookie", r"GET /.*",
             "the page's script reads the CSRF token when it posts, for a login in another tab changes it; the "
             "language is no secret", r".* : ((__Host-)?csrftoken|django_language)"),
)  # fmt: skip


def answer(finding: Finding) -> str:
    """Return why a finding is none, empty when nobody has said."""
    for known in ANSWERED:
        if (
            known.tool == finding.tool
            and re.fullmatch(known.rule, finding.rule)
            and re.fullmatch(known.where, finding.where)
            and re.fullmatch(known.text, finding.text)
        ):
            return known.why
    return ""
