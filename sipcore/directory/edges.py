"""Domains of other registrars that we are the edge proxy of (RFC 5626 §5)."""

from __future__ import annotations

from collections.abc import Iterable

from sipcore.directory.part import Delta, Part


class Edges(Part[str, tuple[str, str]]):
    """Each domain with the URI of its registrar, or of the next proxy there."""

    __slots__ = ("hops",)

    def __init__(self, edges: Iterable[tuple[str, str]] = ()) -> None:
        """`edges` are (domain in lower case, URI)."""
        self.hops: dict[str, str] = dict(edges)

    def changed(self, delta: Delta[str, tuple[str, str]]) -> Edges:
        removed = frozenset(delta.removed)
        kept = [edge for edge in self.hops.items() if edge[0] not in removed]
        return Edges([*kept, *delta.put])


__all__ = ["Edges"]
