"""The providers' reports: for some of what arrived, soon or late, and again until somebody takes them."""

from __future__ import annotations

import heapq
import random
import threading
import time
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from tests.support.providers.fake import SMS
    from tests.tools.chaos.providers import MoodyAliyun, MoodyYuntongxun
    from tests.tools.chaos.record import Record
    from tests.tools.chaos.site import Site

# Of all that arrived, the part that is reported. They say "delivered" only, for it is on the handset.
REPORTED = 0.4
# Seconds between an arrival and its report at most, and between two tries to bring it.
LATEST, AGAIN = 6.0, 0.5


class Postman(threading.Thread):
    """Brings reports until it is told to stop."""

    def __init__(self, site: Site, record: Record) -> None:
        """Take whose reports to bring."""
        super().__init__(name="postman", daemon=True)
        self.site, self.record = site, record
        self._die = random.Random(f"{site.plan.seed}.reports")
        self._seen = dict.fromkeys(site.plan.gateways, 0)
        self._due: list[tuple[float, int, SMS, MoodyYuntongxun | MoodyAliyun]] = []
        self._over = threading.Event()
        self._count = 0

    def run(self) -> None:
        """Look for arrivals, and bring what is due."""
        with httpx.Client(timeout=4, verify=False) as http:
            while not self._over.wait(0.1):
                for provider in self.site.providers:
                    arrived = provider.sent
                    for sms in arrived[self._seen[provider.gateway] :]:
                        if self._die.random() < REPORTED:
                            self._later(self._die.uniform(0, LATEST), sms, provider)
                    self._seen[provider.gateway] = len(arrived)
                while self._due and self._due[0][0] <= time.monotonic():
                    _at, _n, sms, provider = heapq.heappop(self._due)
                    if not self._bring(http, sms, provider):
                        self._later(AGAIN, sms, provider)

    def stop(self) -> None:
        """Bring no more."""
        self._over.set()
        self.join(5)

    def is_done(self) -> bool:
        """Tell whether there is nothing left to bring."""
        return not self._due

    def _later(self, seconds: float, sms: SMS, provider: MoodyYuntongxun | MoodyAliyun) -> None:
        self._count += 1
        heapq.heappush(self._due, (time.monotonic() + seconds, self._count, sms, provider))

    def _bring(self, http: httpx.Client, sms: SMS, provider: MoodyYuntongxun | MoodyAliyun) -> bool:
        (report,) = provider.reports(sms)
        port = self._die.choice(self.site.stack.ports)
        url = f"http://127.0.0.1:{port}/receipts/{provider.gateway}/{self.site.receipt_secret}/"
        try:
            status = http.post(url, content=report.body, headers=report.headers).status_code
        except httpx.HTTPError:
            return False
        if status == 200:
            self.record.answers["report taken"] += 1
        return status == 200
