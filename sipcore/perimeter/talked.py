"""Which networks a line has talked with: the last ones."""

from __future__ import annotations

from sipcore.perimeter.limits import MAX_NETWORKS


class Talked:
    """Pairs of a line and a network (`transport.networks`).

    A pair is made by an answered call, whoever placed it, or by a message of the line that was taken
    there. That a phone takes a message says nothing: it does so by itself.
    """

    __slots__ = ("_pairs",)

    def __init__(self) -> None:
        self._pairs: dict[tuple[int, str], None] = {}

    def add(self, line_id: int, network: str) -> None:
        pairs, pair = self._pairs, (line_id, network)
        if pair not in pairs:
            if len(pairs) >= MAX_NETWORKS:
                del pairs[next(iter(pairs))]
            pairs[pair] = None

    def has(self, line_id: int, network: str) -> bool:
        return (line_id, network) in self._pairs
