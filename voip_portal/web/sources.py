"""Whose a connection is: what limits count by, and whose X-Forwarded headers are believed."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sipcore.transport.networks import NETWORKS, SINGLE_SOURCES, network_of

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
PRIVATE: Final = tuple(
    map(
        ipaddress.ip_network,
        ["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"],
    )
)
"""Where proxies of ours are when VOIP_PROXY_NETWORKS does not say it."""
FORWARDED: Final = (
    "HTTP_FORWARDED",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_REAL_IP",
)
"""What only a proxy of ours may say."""


@dataclass(frozen=True, slots=True)
class Proxies:
    """Which addresses are those of proxies in front of us: many people come by one of them."""

    networks: tuple[_Network, ...] = ()
    named: bool = False
    """By the operator: then nobody else is believed to be one."""

    def have(self, address: str) -> bool:
        """Whether a proxy has this address. A Unix socket ("") is only reached by ours."""
        if not address:
            return True
        ip = ipaddress.ip_address(address.partition("%")[0])
        mapped = getattr(ip, "ipv4_mapped", None)
        return any((mapped or ip) in network for network in self.networks)

    def without_claims(self, environ: dict[str, Any]) -> None:
        """Take from a request what only a proxy may say, unless one sent it."""
        if self.named and not self.have(environ.get("REMOTE_ADDR", "")):
            for name in FORWARDED:
                environ.pop(name, None)


def proxies(environ: Mapping[str, str]) -> Proxies:
    """From VOIP_PROXY_NETWORKS; without it anybody private, where VOIP_TRUSTED_PROXIES counts some."""
    words = environ.get("VOIP_PROXY_NETWORKS", "").replace(",", " ").split()
    if words:
        return Proxies(tuple(map(_network, words)), named=True)
    return Proxies(PRIVATE if int(environ.get("VOIP_TRUSTED_PROXIES") or 0) else ())


def _network(word: str) -> _Network:
    try:
        return ipaddress.ip_network(word, strict=False)
    except ValueError:
        raise ValueError(
            f"VOIP_PROXY_NETWORKS: {word!r} is neither an address nor a network, such as 10.1.2.0/24"
        ) from None


def source_of(address: str) -> str:
    """What counts as one client."""
    return network_of(address, SINGLE_SOURCES)


def neighbours_of(address: str) -> str:
    """The /24 or /64: who fills all of our connections has many addresses there."""
    return network_of(address, NETWORKS)


def most_common(words: Iterable[str]) -> str:
    """The word that is there most often; "" of none."""
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return max(counts, key=counts.__getitem__, default="")
