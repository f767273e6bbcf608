"""Providers in a mood: each request is answered as a seeded die says, and the ledger is the truth of the run."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

from tests.support.faultproxy import FaultProxy
from tests.support.provider import Provider
from tests.support.providers.aliyun import Aliyun
from tests.support.providers.fake import Fake
from tests.support.stack import free_port
from tests.tools.chaos.record import Arrived, Heard

if TYPE_CHECKING:
    from tests.support.providers.fake import Request

# Of a hundred requests so many. About a third of the answers leave open whether the message went out.
MOOD = {
    "ok": 57,
    "accept_then_hang": 7,
    "503": 6,
    "accept_then_502": 6,
    "accept_then_garbage": 5,
    "accept_then_reset": 3,
    "reset": 5,
    "busy": 4,
    "429": 2,
    "bad_number": 3,
    "too_frequent": 1,
    "balance": 1,
}


class Moody(Fake):
    """Answers each request in a mood of its own, until it is told to be good. Seen through a proxy that can break."""

    _front: FaultProxy | None = None
    _mood: random.Random | None = None
    _dice = threading.Lock()

    def start(self) -> None:
        """Listen, and let the proxy stand in front."""
        super().start()
        if self._front is None:
            self._front = FaultProxy("127.0.0.1", self.port, at=free_port())
            self._front.__enter__()

    def stop(self) -> None:
        """Stop at once, the proxy with it."""
        super().stop()
        if self._front is not None:
            self._front.__exit__()
            self._front = None

    @property
    def front(self) -> FaultProxy:
        """What Latchkey really connects to."""
        assert self._front
        return self._front

    @property
    def url(self) -> str:
        """What the gateway's base URL has to be: the proxy's."""
        return f"http://127.0.0.1:{self.front.port}"

    def be_moody(self, seed: int) -> None:
        """Throw a die for each request from now on."""
        self._mood = random.Random(seed)

    def be_good(self) -> None:
        """Accept from now on."""
        self._mood = None

    def begin(self, request: Request) -> None:
        """Give the request its mood."""
        with self._dice:
            if self._mood is not None:
                self.script(self._mood.choices(list(MOOD), list(MOOD.values()))[0])
            super().begin(request)


class MoodyYuntongxun(Moody, Provider):
    """It knows a repeat by its reqId."""

    gateway = "yuntongxun"


class MoodyAliyun(Moody, Aliyun):
    """It sends whatever it is told, as often as it is told."""

    gateway = "aliyun"


KINDS: dict[str, type[MoodyYuntongxun | MoodyAliyun]] = {kind.gateway: kind for kind in (MoodyYuntongxun, MoodyAliyun)}


def arrived(provider: MoodyYuntongxun | MoodyAliyun) -> list[Arrived]:
    """Return what is on handsets."""
    return [Arrived(sms.at, f"+86{sms.to}", sms.code, sms.req_id, provider.gateway, sms.sid) for sms in provider.sent]


def heard(provider: MoodyYuntongxun | MoodyAliyun) -> list[Heard]:
    """Return every request that was read so far that its reference is known."""
    found = []
    for request in provider.requests:
        reference = request.body.get("reqId") or request.body.get("OutId")
        if isinstance(reference, str):
            found.append(Heard(request.at, reference, provider.gateway))
    return found
