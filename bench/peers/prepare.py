"""Make a peer's database and, if it is told how many, accounts: allauth sends codes to numbers that it knows.

python -m bench.peers.prepare [ACCOUNTS]
"""

from __future__ import annotations

import sys

import django
from django.core.management import call_command


def main(accounts: int) -> None:
    """Migrate, and make so many accounts with the numbers +8613800000000 and on."""
    django.setup()
    # A model can be imported when Django stands.
    from django.contrib.auth.models import User

    call_command("migrate", verbosity=0)
    User.objects.bulk_create(
        (User(username=f"+86138{number:08}", password="!none") for number in range(accounts)), batch_size=5000
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
