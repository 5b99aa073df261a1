"""Whether the DNS leads phones from our domain to us (RFC 3263 §4), and the records that it lacks.

Asked by `manage.py check`, and every ten minutes by a task, for the pages: no page waits for the DNS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from django.conf import settings
from django.core.cache import cache

from voip_portal.nodes.services import served
from voip_portal.numbers.services import default_domain

ANSWER_S: Final = 2.0
"""seconds: for one question; the first without an answer ends the look."""
KEPT_S: Final = 3600
"""seconds: what the pages say holds; the task looks six times in that."""
KEY: Final = "domain-records"
SIP_PORT: Final = 5060

Ask = Callable[[str, str], list[str]]
"""The records of a name and a type as text; none where there are none. OSError: nobody answers."""


class _Kind(NamedTuple):
    """One way to us: its NAPTR service, the label of its SRV record, our transport."""

    service: str
    label: str
    transport: str


_KINDS: Final = (
    _Kind("SIPS+D2T", "_sips._tcp", "TLS"),
    _Kind("SIP+D2T", "_sip._tcp", "TCP"),
    _Kind("SIP+D2U", "_sip._udp", "UDP"),
)
"""In the order in which phones should prefer them."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the DNS says of our domain."""

    domain: str
    leads_here: bool
    """Whether a phone that knows the domain alone finds this server."""
    missing: tuple[str, ...]
    """Records to add, as lines of a zone file."""

    def leads_here_from(self, domain: str) -> bool:
        """Whether it leads here, and is that domain ("": whichever)."""
        return self.leads_here and domain in ("", self.domain)


def look(domain: str, ask: Ask) -> Found:
    """Ask for the records that lead to where we are reached. OSError: nobody answers."""
    here = served()
    host = address = here.host
    target = f"sip.{domain}" if _kind(address) else host
    missing, has_srv, leads = [], False, False
    kinds = [kind for kind in _KINDS if kind.transport in here.ports]
    naptr = " ".join(ask(domain, "NAPTR")).lower()
    ours = {address} if _kind(address) else _addresses(host, ask)
    for order, (service, label, transport) in enumerate(kinds, 1):
        at = here.ports[transport]
        if f'"{service.lower()}"' not in naptr:
            missing.append(f'{domain}. IN NAPTR {order}0 10 "s" "{service}" "" {label}.{domain}.')
        found = [row.split() for row in ask(f"{label}.{domain}", "SRV")]
        has_srv = has_srv or bool(found)
        to_us = any(
            int(row[2]) == at and not ours.isdisjoint(_addresses(row[3].rstrip("."), ask))
            for row in found
        )
        leads = leads or (to_us and service == "SIP+D2U")
        if not to_us:
            missing.append(f"{label}.{domain}. IN SRV 0 10 {at} {target}.")
    if not has_srv and here.ports.get("UDP") == SIP_PORT:
        leads = not ours.isdisjoint(_addresses(domain, ask))
    if _kind(address) and not leads and address not in _addresses(target, ask):
        missing.append(f"{target}. IN {_kind(address)} {address}")
    return Found(domain, leads, tuple(missing))


def _kind(text: str) -> str:
    """A or AAAA for an address, "" for a name."""
    try:
        return "A" if ip_address(text).version == 4 else "AAAA"
    except ValueError:
        return ""


def _addresses(name: str, ask: Ask) -> set[str]:
    return {text for kind in ("A", "AAAA") for text in ask(name, kind)}


def by_dns() -> Ask:
    """Questions to the servers of VOIP_DNS, or those of the system."""
    import dns.exception
    import dns.resolver

    resolver = dns.resolver.Resolver(configure=not settings.VOIP_DNS)
    servers = [urlsplit(f"//{word}") for word in map(_bracketed, settings.VOIP_DNS)]
    if servers:
        resolver.nameservers = [s.hostname or "" for s in servers]
        resolver.nameserver_ports = {s.hostname or "": s.port or 53 for s in servers}
    nothing = (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer)

    def ask(name: str, kind: str) -> list[str]:
        try:
            return [
                str(row) for row in resolver.resolve(name, kind, lifetime=ANSWER_S, search=False)
            ]
        except nothing:
            return []
        except dns.exception.DNSException as error:
            raise OSError(f"{name} {kind}: {error}") from error

    return ask


def _bracketed(word: str) -> str:
    return f"[{word}]" if word.count(":") > 1 and word[0] != "[" else word


def refresh() -> None:
    """Look, and keep what is found for the pages. While nobody answers the last word stands."""
    try:
        found = look(default_domain().name, by_dns())
    except OSError:
        return
    cache.set(KEY, [found.domain, served().host, found.leads_here, found.missing], KEPT_S)


def last_found(host: str) -> Found | None:
    """What the task found lately of the default domain, for a server that is reached at `Served.host`.

    None where it has not looked yet.
    """
    kept: Any = cache.get(KEY)
    if not kept or kept[1] != host:
        return None
    return Found(kept[0], kept[2], tuple(kept[3]))
