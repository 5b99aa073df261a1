"""How many calls of strangers a line, and a network, may have at once.

A stranger's address may be forged, until something comes from its network that only a receiver of
our answers could send.
"""

from __future__ import annotations

from sipcore.perimeter.limits import (
    MAX_NETWORKS,
    NEW_STRANGERS_PER_LINE,
    STRANGERS_PER_LINE,
    STRANGERS_PER_NETWORK,
    UNPROVED_PER_NETWORK,
)


class StrangerCalls:
    """Counts by line and network (`transport.networks`), for as long as each call rings or goes on."""

    __slots__ = ("_calls", "_lines", "_networks", "_proved", "_talked")

    def __init__(self) -> None:
        self._calls: dict[str, tuple[int, str]] = {}
        """(line id, network) by call context; line 0 stands for a service of ours."""
        self._lines: dict[int, dict[str, int]] = {}
        """Calls by network, of each line that has any."""
        self._networks: dict[str, int] = {}
        self._proved: dict[str, None] = {}
        self._talked: dict[tuple[int, str], None] = {}

    def __len__(self) -> int:
        """How many calls of strangers there are."""
        return len(self._calls)

    def admits(self, line_id: int, network: str, *, is_proved: bool = False) -> bool:
        """Whether one more call may ring; `is_proved`: it came by a connection, not a datagram."""
        at_once = self._networks.get(network, 0)
        if at_once >= UNPROVED_PER_NETWORK and not is_proved and network not in self._proved:
            return False
        held = self._lines.get(line_id)
        if held is None or not line_id:
            return True
        if held.get(network, 0) >= STRANGERS_PER_NETWORK:
            return False
        is_known = (line_id, network) in self._talked
        most = STRANGERS_PER_LINE if is_known else NEW_STRANGERS_PER_LINE
        return sum(held.values()) < most

    def began(self, context: str, line_id: int, network: str) -> None:
        """A call was admitted."""
        self._calls[context] = (line_id, network)
        held = self._lines.setdefault(line_id, {})
        held[network] = held.get(network, 0) + 1
        self._networks[network] = self._networks.get(network, 0) + 1

    def answered(self, context: str) -> None:
        """Somebody has taken the call: its network is known to the line from now on."""
        pair = self._calls.get(context)
        if pair is not None and pair not in self._talked:
            if len(self._talked) >= MAX_NETWORKS:
                del self._talked[next(iter(self._talked))]
            self._talked[pair] = None

    def ended(self, context: str) -> None:
        """The call is over; one that is none of a stranger is passed over."""
        pair = self._calls.pop(context, None)
        if pair is None:
            return
        line_id, network = pair
        held = self._lines[line_id]
        _count_down(held, network)
        if not held:
            del self._lines[line_id]
        _count_down(self._networks, network)

    def proved(self, network: str) -> None:
        """Something came from there that only a receiver of our answers could send."""
        if network not in self._proved:
            if len(self._proved) >= MAX_NETWORKS:
                del self._proved[next(iter(self._proved))]
            self._proved[network] = None


def _count_down(counts: dict[str, int], key: str) -> None:
    left = counts[key] - 1
    if left:
        counts[key] = left
    else:
        del counts[key]
