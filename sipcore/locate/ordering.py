"""In which order servers are tried: RFC 2782 for SRV records, RFC 6724 for addresses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv6Network, ip_address
from typing import Final

from sipcore.locate.answers import Naptr, Srv
from sipcore.locate.limits import MAX_HOSTS
from sipcore.random_source import RandomSource


def in_order(records: Sequence[Srv], random: RandomSource | None) -> list[Srv]:
    """The records by priority, those of one priority drawn by weight.

    Without a random source they come in an order that is the same every time: what a stateless
    proxy needs (RFC 3263 §4.4).
    """
    usable = sorted(
        {record for record in records if record.target and 0 < record.port <= 65_535},
        key=lambda r: (r.priority, -r.weight, r.target, r.port),
    )[:MAX_HOSTS]
    if random is None:
        return usable
    ordered: list[Srv] = []
    for priority in sorted({record.priority for record in usable}):
        ordered += _drawn([r for r in usable if r.priority == priority], random)
    return ordered


def _drawn(records: list[Srv], random: RandomSource) -> list[Srv]:
    """Records of one priority: each next one by a draw among those left (RFC 2782)."""
    # Those of weight 0 stand first, so that only a draw of 0 takes one before the others.
    left = [r for r in records if r.weight == 0] + [r for r in records if r.weight]
    ordered = []
    while left:
        draw = random.randint(0, sum(record.weight for record in left))
        running = 0
        for index, record in enumerate(left):
            running += record.weight
            if running >= draw:
                ordered.append(left.pop(index))
                break
    return ordered


def by_order_and_preference(records: Sequence[Naptr]) -> list[Naptr]:
    """NAPTR records: the order first, within one order the preference (RFC 3403 §4.1)."""
    return sorted(records, key=lambda r: (r.order, r.preference, r.service, r.replacement))


_POLICY: Final = (
    (IPv6Network("::1/128"), 50),
    (IPv6Network("::ffff:0:0/96"), 35),
    (IPv6Network("2002::/16"), 30),
    (IPv6Network("2001::/32"), 5),
    (IPv6Network("fc00::/7"), 3),
    (IPv6Network("::/96"), 1),
    (IPv6Network("fec0::/10"), 1),
    (IPv6Network("3ffe::/16"), 1),
)
"""The policy table of RFC 6724 §2.1; what it does not name has 40, IPv4 35."""


def precedence(address: str) -> int:
    """How soon an address is tried (RFC 6724 §6, rule 6)."""
    parsed = ip_address(address)
    if parsed.version == 4:
        return 35
    for network, value in _POLICY:
        if parsed in network:
            return value
    return 40


def by_precedence(addresses: Iterable[str], *, fixed: bool = False) -> list[str]:
    """Addresses of one host, best first; those alike as the DNS has them.

    The DNS may turn them round with each answer. `fixed`: in the same order every time.
    """
    usable = dict.fromkeys(filter(is_usable, addresses))
    return sorted(sorted(usable) if fixed else usable, key=lambda a: -precedence(a))


def is_usable(address: str) -> bool:
    """Whether it is an address that one host may have and that means the same on every link."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if parsed.is_multicast or parsed.is_unspecified or "%" in address:
        return False
    if parsed.version == 6:
        return not parsed.is_link_local
    return address != "255.255.255.255"
