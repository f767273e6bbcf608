"""Chooses the gateway for a message: from an ordered chain for the number's region, without those that are down."""

from __future__ import annotations

from typing import NamedTuple

import phonenumbers
from django.conf import settings

from tasks.gateways import Outcome
from tasks.models import Delivery
from tasks.routing import circuit_breaker


def chain(mobile: str) -> list[str]:
    """Return the gateways for an E.164 number, first choice first: its region's of SMS_ROUTES, else SMS_GATEWAYS."""
    gateways: list[str] = settings.SMS_GATEWAYS
    if settings.SMS_ROUTES:
        region = phonenumbers.region_code_for_number(phonenumbers.parse(mobile))
        gateways = settings.SMS_ROUTES.get(region or "", gateways)
    return gateways


def choose(delivery: Delivery) -> str:
    """Return the gateway for the next attempt of a delivery.

    A gateway whose circuit is open is skipped, unless an earlier send ended unknown: another provider could then send
    a second SMS. If all circuits are open, the gateway whose turn it is gets another attempt.
    """
    gateways = chain(delivery.mobile)
    turn = min(delivery.route, len(gateways) - 1)
    tries = list(delivery.tries.order_by("-n")) if delivery.attempts else []
    unsure = next((each for each in tries if each.outcome == Outcome.UNKNOWN), None)
    if unsure is not None:
        return unsure.gateway
    if turn == len(gateways) - 1:
        return gateways[turn]
    refused = {each.gateway for each in tries if each.outcome == Outcome.REFUSED}
    left = (gateway for gateway in gateways[turn:] if gateway not in refused and not circuit_breaker.is_open(gateway))
    return next(left, gateways[turn])


class Turn(NamedTuple):
    """Whose turn it is after an attempt that sent nothing."""

    # Position in the chain.
    place: int
    # False when the chain starts over: its gateways have just been asked, and get a few seconds.
    at_once: bool


def following(delivery: Delivery, gateway: str, outcome: Outcome) -> Turn | None:
    """Return whose turn it is after `gateway` has sent nothing, None if no gateway is left.

    After the last gateway of the chain comes the first again. A gateway that has refused this delivery is not asked
    again; one that could not take it is.
    """
    gateways = chain(delivery.mobile)
    here = gateways.index(gateway) if gateway in gateways else min(delivery.route, len(gateways) - 1)
    refused = set(delivery.tries.filter(outcome=Outcome.REFUSED).values_list("gateway", flat=True))
    if outcome == Outcome.REFUSED:
        refused.add(gateway)
    for place in (*range(here + 1, len(gateways)), *range(here + 1)):
        if gateways[place] not in refused:
            return Turn(place, at_once=place > here)
    return None
