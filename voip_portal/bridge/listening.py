"""Where sipd listens, and what it says of that to others.

A cloud machine, or one behind a NAT that maps address to address, has another address than the one
that phones use: `VOIP_LISTEN` names the machine's own, `VOIP_ADVERTISE` the other.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence

from django.core.management.base import CommandError

from sipcore.transport.flow import is_address

LOOPBACK = ("127.0.0.1", "::1")
UNSPECIFIED = frozenset({"0.0.0.0", "::"})  # noqa: S104 (refused)


def listen_hosts(named: Sequence[str], advertised: str) -> list[str]:
    """The addresses to listen on; `CommandError` where this machine has not all that are meant."""
    if named:
        return [_own(host.strip("[]")) for host in named]
    if advertised == LOOPBACK[0]:
        return [host for host in LOOPBACK if can_bind(host)]  # some have no IPv6
    addresses = [advertised] if is_address(advertised) else _looked_up(advertised)
    own = [address for address in addresses if can_bind(address)]
    if not own:
        raise CommandError(
            f"VOIP_ADVERTISE: {advertised} is no address of this machine, so there is nothing to "
            "listen on. Behind a NAT, as in a cloud, name the machine's own address: "
            "VOIP_LISTEN=10.0.0.5"
        )
    return own


def advertised_as(hosts: Sequence[str], advertised: str, *, is_named: bool) -> Mapping[str, str]:
    """What each listening address is called towards others.

    An address that nobody named in `VOIP_LISTEN` is what it is. Else it is the advertised host,
    unless that is an address of the other family.
    """
    if len(hosts) > 1 and not is_named:
        return {host: host for host in hosts}
    is_name = not is_address(advertised)
    return {
        host: advertised if is_name or (":" in advertised) == (":" in host) else host
        for host in hosts
    }


def _own(host: str) -> str:
    if not is_address(host) or host in UNSPECIFIED:
        raise CommandError(
            f"VOIP_LISTEN: {host} is no address to listen on: name the addresses of this machine, "
            "one by one, separated by commas."
        )
    if not can_bind(host):
        raise CommandError(f"VOIP_LISTEN: {host} is no address of this machine.")
    return host


def _looked_up(name: str) -> list[str]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    except OSError:
        raise CommandError(
            f"VOIP_ADVERTISE: the name {name} has no address in the DNS. Correct it, or name the "
            "addresses to listen on: VOIP_LISTEN=10.0.0.5"
        ) from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def can_bind(host: str) -> bool:
    """Whether this machine has the address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True
