"""`python -m bench.fill`: accept messages in bulk. Reads how many, a number a line, and says it again when done.

It writes what `tasks.delivery.accept` writes, and calls the task itself.
"""

from __future__ import annotations

import sys

import django


def main() -> None:
    """Write so many rows and enqueue each, once for each line that comes."""
    django.setup()
    # These can be imported when Django stands.
    from django.utils import timezone

    from tasks.models import Delivery
    from tasks.sms import send_sms_code

    first = 0
    for line in sys.stdin:
        many = int(line)
        now = timezone.now()
        rows = [
            Delivery(
                mobile=f"+86136{first + n:08}",
                purpose="login",
                browser=f"{n:032x}",
                address=f"{n:032x}",
                language="en",
                resend_at=now,
            )
            for n in range(many)
        ]
        Delivery.objects.bulk_create(rows, batch_size=500)
        for row in rows:
            send_sms_code(row.pk)
        first += many
        sys.stdout.write(f"{many}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
