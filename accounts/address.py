"""Where a request comes from, believed only as far as our own proxies vouch for it."""

from __future__ import annotations

import ipaddress
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from project import keys


def client_address(request: HttpRequest) -> str:
    """Return the visitor's IP address."""
    return _believed(str(request.META.get("REMOTE_ADDR", "")), request.headers.get("X-Forwarded-For", ""))


def hashed_address(request: HttpRequest) -> str:
    """Return the keyed hash that stands for the visitor in counters and rows."""
    return keys.hashed("address", _counted(client_address(request)))


def socket_address(scope: dict[str, Any]) -> str:
    """Return what is counted as the address of a visitor who opens a socket, from its ASGI scope. It is not hashed."""
    peer = str((scope.get("client") or [""])[0])
    forwarded = dict(scope["headers"]).get(b"x-forwarded-for", b"").decode("latin-1")
    return _counted(_believed(peer, forwarded))


def _believed(peer: str, forwarded: str) -> str:
    """Return the address that is to be believed, of who connects to us and what X-Forwarded-For says.

    Each of our TRUSTED_PROXIES appends the address that it saw to X-Forwarded-For; what stands left of
    those was written by the visitor and is not looked at (ASVS 5.0, 4.1.3 and 15.3.4).
    """
    if not settings.TRUSTED_PROXIES:
        return peer
    hops = [hop.strip() for hop in forwarded.split(",")]
    if len(hops) < settings.TRUSTED_PROXIES:
        return peer
    try:
        return str(ipaddress.ip_address(hops[-settings.TRUSTED_PROXIES]))
    except ValueError:
        return peer


def _counted(address: str) -> str:
    """Return what is counted for an address: an IPv6 visitor owns a whole /64."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        mapped = ip.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((ip, 64), strict=False))
    return address
