"""Which gateway takes a message: an ordered chain, by the number's region, past those that are known to be down."""

from __future__ import annotations

import phonenumbers
from django.conf import settings

from tasks import circuit
from tasks.gateways import Outcome
from tasks.models import Delivery


def chain(mobile: str) -> list[str]:
    """Return the gateways for an E.164 number, first choice first: its region's of SMS_ROUTES, else SMS_GATEWAYS."""
    gateways: list[str] = settings.SMS_GATEWAYS
    if settings.SMS_ROUTES:
        region = phonenumbers.region_code_for_number(phonenumbers.parse(mobile))
        gateways = settings.SMS_ROUTES.get(region or "", gateways)
    return gateways


def choose(delivery: Delivery) -> str:
    """Return the gateway for the next attempt of a delivery.

    One whose circuit is open is passed by, but not after a send that nobody is sure of: what the second provider
    sends could be a second SMS. If all are down, the one whose turn it is gets another try.
    """
    gateways = chain(delivery.mobile)
    turn = min(delivery.route, len(gateways) - 1)
    unsure = delivery.tries.filter(outcome=Outcome.UNKNOWN).order_by("-n").first() if delivery.attempts else None
    if unsure is not None:
        return unsure.gateway
    if turn == len(gateways) - 1:
        return gateways[turn]
    return next((gateway for gateway in gateways[turn:] if not circuit.is_open(gateway)), gateways[turn])


def has_next(delivery: Delivery) -> bool:
    """Tell whether there is a gateway behind the one whose turn it is."""
    return delivery.route + 1 < len(chain(delivery.mobile))
