"""How many messages of strangers a line, a service and a network may have in a time.

Each holds a transaction for 32 s to whoever sent it, and for as long to a phone that does not answer.
"""

from __future__ import annotations

from sipcore.perimeter.lately import Lately
from sipcore.perimeter.limits import (
    MESSAGES_IN_ALL,
    MESSAGES_OF_NETWORK,
    MESSAGES_PER_LINE,
    MESSAGES_PER_NETWORK,
    MESSAGES_S,
    NEW_MESSAGES_IN_ALL,
    NEW_MESSAGES_PER_LINE,
)
from sipcore.perimeter.talked import Talked


class StrangerMessages:
    """Counts by line and network, line 0 for the services of ours."""

    __slots__ = ("_lately", "_talked")

    def __init__(self, talked: Talked) -> None:
        self._talked = talked
        self._lately = Lately(MESSAGES_S)

    def __len__(self) -> int:
        """How many came lately."""
        return len(self._lately)

    def admits(self, line_id: int, network: str, now: float) -> bool:
        """Whether one more message may pass; it is counted then."""
        lately = self._lately
        lately.forget(now)
        is_known = self._talked.has(line_id, network)
        if len(lately) >= (MESSAGES_IN_ALL if is_known else NEW_MESSAGES_IN_ALL):
            return False
        if lately.of(line_id) >= (MESSAGES_PER_LINE if is_known else NEW_MESSAGES_PER_LINE):
            return False
        if lately.of(network) >= MESSAGES_OF_NETWORK:
            return False
        if lately.of((line_id, network)) >= MESSAGES_PER_NETWORK:
            return False
        lately.count(line_id, network, now)
        return True
