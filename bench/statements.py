"""`python -m bench.statements`: ask for a code as a visitor in this process, and print the SQL of it as JSON."""

from __future__ import annotations

import json
import sys

import django


def main() -> None:
    """Open the page, ask once to have everything loaded, then ask again and listen."""
    django.setup()
    # These can be imported when Django stands.
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    browser = Client(enforce_csrf_checks=True, headers={"Host": "127.0.0.1", "HX-Request": "true"})

    def ask(mobile: str) -> None:
        token = browser.cookies["csrftoken"].value
        answer = browser.post("/code/", {"mobile": mobile}, headers={"X-CSRFToken": token})
        if answer.status_code != 202:
            raise SystemExit(f"answered {answer.status_code} instead of 202")

    browser.get("/login/")
    ask("13600000000")
    with CaptureQueriesContext(connection) as queries:
        ask("13600000001")
    json.dump([query["sql"] for query in queries], sys.stdout)


if __name__ == "__main__":
    main()
