"""The SIP domains of this service, and the realm that all secrets were made for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sipcore.directory.part import Delta, Part


@dataclass(slots=True, frozen=True)
class Domain:
    """A SIP domain this service answers for."""

    name: str
    algorithms: tuple[str, ...] = ("SHA-256", "MD5")
    """Digest algorithms offered, in this order (RFC 8760 §2.4)."""


class Domains(Part[str, Domain]):
    """All domains, by name."""

    __slots__ = ("by_name", "default", "realm")

    def __init__(
        self, domains: Iterable[Domain] = (), default: str | None = None, realm: str = ""
    ) -> None:
        """`default` is the domain of canonical addresses; None: the first one."""
        self.by_name: dict[str, Domain] = {domain.name: domain for domain in domains}
        self.default: str = next(iter(self.by_name), "") if default is None else default
        self.realm = realm

    def changed(self, delta: Delta[str, Domain]) -> Domains:
        removed = frozenset(delta.removed)
        kept = [domain for domain in self.by_name.values() if domain.name not in removed]
        return Domains([*kept, *delta.put], self.default, self.realm)


__all__ = ["Domain", "Domains"]
