"""Where a request comes from, believed only as far as our own proxies vouch for it."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest

from project import keys


def client_address(request: HttpRequest) -> str:
    """Return the visitor's IP address.

    Each of our TRUSTED_PROXIES appends the address that it saw to X-Forwarded-For; what stands left of
    those was written by the visitor and is not looked at (ASVS 5.0, 4.1.3 and 15.3.4).
    """
    peer = str(request.META.get("REMOTE_ADDR", ""))
    if not settings.TRUSTED_PROXIES:
        return peer
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",")]
    if len(hops) < settings.TRUSTED_PROXIES:
        return peer
    try:
        return str(ipaddress.ip_address(hops[-settings.TRUSTED_PROXIES]))
    except ValueError:
        return peer


def hashed_address(request: HttpRequest) -> str:
    """Return the keyed hash that stands for the visitor in counters and rows.

    An IPv6 visitor owns a whole /64, so that is what is counted.
    """
    address = client_address(request)
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return keys.hashed("address", address)
    if isinstance(ip, ipaddress.IPv6Address):
        mapped = ip.ipv4_mapped
        address = str(mapped) if mapped else str(ipaddress.ip_network((ip, 64), strict=False))
    return keys.hashed("address", address)
