"""The IP address of a visitor, taken from X-Forwarded-For only as far as our own proxies have written it."""

from __future__ import annotations

import ipaddress
import logging
import re
import time
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from project import keys

log = logging.getLogger(__name__)

# A node as in RFC 7239, section 6: a port may follow, and an IPv6 address has brackets then.
NODE = re.compile(r"(?:\[(?P<bracketed>[^\[\]]+)\](?::[0-9]{1,5})?|(?P<v4>[0-9.]+):[0-9]{1,5})")
# Seconds between two warnings: a misconfigured proxy spoils every request in the same way.
WARN_EVERY = 60.0
_warned_at = float("-inf")


def client_address(request: HttpRequest) -> str:
    return _believed(str(request.META.get("REMOTE_ADDR", "")), request.headers.get("X-Forwarded-For", ""))


def hashed_address(request: HttpRequest) -> str:
    """Return the keyed hash of the visitor's address, for counters and rows."""
    return keys.hashed("address", _counted(client_address(request)))


def socket_address(scope: dict[str, Any]) -> str:
    """Return the address that a socket counts towards, from its ASGI scope. It is not hashed."""
    peer = str((scope.get("client") or [""])[0])
    # Several lines are one list, in their order (RFC 9110, 5.3). WSGI joins them for a request.
    lines = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"x-forwarded-for"]
    return _counted(_believed(peer, ",".join(lines)))


def _believed(peer: str, forwarded: str) -> str:
    """Return the address to believe, given the peer that connects to us and the list in X-Forwarded-For.

    Each of our TRUSTED_PROXIES appends the address that it saw to X-Forwarded-For. Everything left of those was
    written by the visitor and is ignored (ASVS 5.0, 4.1.3 and 15.3.4).

    If a proxy's entry cannot be read, the proxy's own address counts: such visitors share its limits, which is
    stricter than to believe what anybody may have written.
    """
    if not settings.TRUSTED_PROXIES:
        return peer
    # Empty elements of a list do not count (RFC 9110, 5.6.1.2).
    nodes = [node for part in forwarded.split(",") if (node := part.strip(" \t"))]
    if len(nodes) < settings.TRUSTED_PROXIES:
        _warn(f"names {len(nodes)} of the {settings.TRUSTED_PROXIES} addresses that TRUSTED_PROXIES expects")
        return peer
    node = nodes[-settings.TRUSTED_PROXIES]
    address = _address(node)
    if address is None:
        # Only its shape is logged: it tells an operator what the proxy writes, and may hold a visitor's address.
        _warn(f"has no address where the visitor's is expected, but {re.sub('[0-9A-Fa-f]', 'x', node[:60])!r}")
        return peer
    return address


def _address(node: str) -> str | None:
    """Return the IP address in a node of X-Forwarded-For, None for `unknown`, a hidden name or anything else."""
    if len(node) > 1 and node[0] == node[-1] == '"':
        node = node[1:-1]
    if found := NODE.fullmatch(node):
        node = found["bracketed"] or found["v4"]
    try:
        ip = ipaddress.ip_address(node)
    except ValueError:
        return None
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    # A dual-stack proxy writes an IPv4 visitor as ::ffff:203.0.113.7. A zone (RFC 4007, 11) names a network interface
    # of the proxy and is not part of the visitor's address.
    return str(ip.ipv4_mapped or ipaddress.IPv6Address(int(ip)))


def _warn(problem: str) -> None:
    """Log that a proxy's entry cannot be read, at most once a minute."""
    global _warned_at
    now = time.monotonic()
    if now - _warned_at < WARN_EVERY:
        return
    _warned_at = now
    log.warning("X-Forwarded-For %s: such visitors share one limit. Check TRUSTED_PROXIES and the proxy", problem)


def _counted(address: str) -> str:
    """Return what an address counts as: an IPv6 visitor has a whole /64."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        mapped = ip.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((ip, 64), strict=False))
    return address
