"""Which network addresses the platform may talk to on a customer's word.

Only resolved addresses are judged, never text: resolvers take `2130706433`, `0x7f000001` and
`127.1` for the loopback address.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address

NAT64 = IPv6Network("64:ff9b::/96")
# forms that carry an IPv4 address for some translator we cannot know
REFUSED = (
    IPv6Network("64:ff9b:1::/48"),
    IPv6Network("::ffff:0:0:0/96"),
    IPv6Network("2001::/32"),
    IPv6Network("3fff::/20"),
    IPv6Network("5f00::/16"),
    IPv6Network("fec0::/10"),
)


@dataclass(frozen=True)
class Allowance:
    """A network and ports that the operator trusts, whatever they are."""

    network: IPv4Network | IPv6Network
    first_port: int
    last_port: int

    def covers(self, address: Address, port: int) -> bool:
        """Whether the address and port are within."""
        return (
            address.version == self.network.version
            and address in self.network
            and self.first_port <= port <= self.last_port
        )


def parse_allowances(text: str) -> tuple[Allowance, ...]:
    """`127.0.0.1/32:9100-9199,[fd00::]/8:443` → allowances.

    Raises: ValueError: not of the form `network:port` or `network:first-last`.
    """
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        network, _, ports = part.rpartition(":")
        first, _, last = ports.partition("-")
        try:
            bare = network.replace("[", "").replace("]", "")
            allowance = Allowance(ip_network(bare), int(first), int(last or first))
        except ValueError:
            raise ValueError(f"{part!r} is not of the form network:first-last") from None
        if not 0 < allowance.first_port <= allowance.last_port < 65536:
            raise ValueError(f"{part!r} has no such ports")
        found.append(allowance)
    return tuple(found)


def parse_address(text: str) -> Address:
    """An address as a resolver gives it, without its scope. Raises: ValueError."""
    return ip_address(text.partition("%")[0])


def innermost(address: Address) -> Address:
    """The IPv4 address that an IPv4-mapped, NAT64 or 6to4 address leads to; itself otherwise."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_public(address: Address) -> bool:
    """Whether the address belongs to the public internet, and to one machine of it.

    `is_global` alone is true of multicast addresses, and of NAT64 and 6to4 forms of 127.0.0.1.
    """
    inner = innermost(address)
    if isinstance(inner, IPv6Address) and any(inner in network for network in REFUSED):
        return False
    return (
        inner.is_global
        and not inner.is_multicast
        and not inner.is_reserved
        and not inner.is_unspecified
        and not inner.is_loopback
        and not inner.is_link_local
    )


def is_allowed(address: Address, port: int, allowances: Sequence[Allowance]) -> bool:
    """Whether the operator trusts the address, or the one it leads to, at this port."""
    return any(
        allowance.covers(form, port)
        for allowance in allowances
        for form in {address, innermost(address)}
    )
