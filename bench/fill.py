"""`python -m bench.fill`: promise messages in bulk. Reads how many, a number a line, and says it again when done.

What it writes is what `promise.accept` writes, and the bell is the task's own.
"""

from __future__ import annotations

import sys

import django


def main() -> None:
    """Write so many rows and ring for each, once for each line that comes."""
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
