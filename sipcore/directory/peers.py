"""Trusted peers: whose word counts for who is calling (RFC 3325's Trust Domain)."""

from __future__ import annotations

from collections.abc import Iterable

from sipcore.directory.part import Delta, Part


class TrustedPeers(Part[str, str]):
    """Domains whose servers are believed who calls, and are sent on to where they want.

    They prove who they are by a client certificate.
    """

    __slots__ = ("domains",)

    def __init__(self, domains: Iterable[str] = ()) -> None:
        """`domains` in lower case."""
        self.domains: frozenset[str] = frozenset(domains)

    def changed(self, delta: Delta[str, str]) -> TrustedPeers:
        return TrustedPeers(self.domains.difference(delta.removed).union(delta.put))


__all__ = ["TrustedPeers"]
