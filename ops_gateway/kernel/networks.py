"""Which addresses count as one customer's."""

from __future__ import annotations

import ipaddress


def network(address: str) -> str:
    """What counts as one address: of IPv6 the network of 64 bits that one customer is given."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
