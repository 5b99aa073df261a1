"""Who may open one more server transaction while the table fills up: by network.

As long as a quarter of the table is taken nobody is counted. From there on a network has a share of what
is left, and a part of the table is kept for sources that are known to us: so no flood from one place,
nor from many, keeps the phones of an account out. It holds for transactions, and for their bytes.
"""

from __future__ import annotations

from sipcore.transaction.limits import KEPT_FOR_KNOWN, SHARE_OF_KNOWN, SHARE_OF_THE_REST
from sipcore.transport.networks import network_of


class Shares:
    """Transactions by network, or bytes."""

    __slots__ = ("_counts", "_most")

    def __init__(self, most: int) -> None:
        self._most = most
        """How many the table takes in all."""
        self._counts: dict[str, int] = {}

    def admits(self, address: str, held: int, is_known: bool, amount: int = 1) -> bool:
        """Whether this source may have so much more, where the table holds so much."""
        if is_known:
            most = (self._most - held) // SHARE_OF_KNOWN
        else:
            most = (self._most - self._most // KEPT_FOR_KNOWN - held) // SHARE_OF_THE_REST
        return self._counts.get(network_of(address), 0) + amount <= most

    def began(self, address: str, amount: int = 1) -> None:
        """A transaction of this source was opened."""
        network = network_of(address)
        self._counts[network] = self._counts.get(network, 0) + amount

    def ended(self, address: str, amount: int = 1) -> None:
        """One is over, or smaller."""
        network = network_of(address)
        left = self._counts.get(network, 0) - amount
        if left > 0:
            self._counts[network] = left
        else:
            self._counts.pop(network, None)
