"""How many calls of strangers a line, and a network, may have at once, and begin in a minute.

A stranger's address may be forged, until something comes from its network that only a receiver of
our answers could send.
"""

from __future__ import annotations

from sipcore.perimeter.lately import Lately
from sipcore.perimeter.limits import (
    CALLS_IN_ALL,
    CALLS_PER_LINE,
    CALLS_PER_NETWORK,
    CALLS_S,
    INSIDE_A_CALL,
    INSIDE_IN_ALL,
    MAX_NETWORKS,
    MESSAGES_S,
    NEW_CALLS_IN_ALL,
    NEW_CALLS_PER_LINE,
    NEW_STRANGERS_PER_LINE,
    STRANGERS_PER_LINE,
    STRANGERS_PER_NETWORK,
    UNPROVED_PER_NETWORK,
)
from sipcore.perimeter.talked import Talked


class StrangerCalls:
    """Counts by line and network (`transport.networks`), for as long as each call rings or goes on."""

    __slots__ = ("_calls", "_inside", "_lately", "_lines", "_networks", "_proved", "talked")

    def __init__(self) -> None:
        self._calls: dict[str, tuple[int, str]] = {}
        """(line id, network) by call context; line 0 stands for a service of ours."""
        self._lines: dict[int, dict[str, int]] = {}
        """Calls by network, of each line that has any."""
        self._networks: dict[str, int] = {}
        self._proved: dict[str, None] = {}
        self._lately = Lately(CALLS_S)
        self._inside = Lately(MESSAGES_S)
        """Requests inside calls, by call context in place of a network."""
        self.talked = Talked()

    def __len__(self) -> int:
        """How many calls of strangers there are."""
        return len(self._calls)

    def admits(self, line_id: int, network: str, now: float, *, is_proved: bool = False) -> bool:
        """Whether one more call may ring; `is_proved`: it came by a connection, not a datagram."""
        at_once = self._networks.get(network, 0)
        if at_once >= UNPROVED_PER_NETWORK and not is_proved and network not in self._proved:
            return False
        is_known = self.talked.has(line_id, network)
        if self._began_too_many(line_id, network, now, is_known=is_known):
            return False
        held = self._lines.get(line_id)
        if held is None or not line_id:
            return True
        if held.get(network, 0) >= STRANGERS_PER_NETWORK:
            return False
        most = STRANGERS_PER_LINE if is_known else NEW_STRANGERS_PER_LINE
        return sum(held.values()) < most

    def _began_too_many(self, line_id: int, network: str, now: float, *, is_known: bool) -> bool:
        """Whether so many calls were begun lately that one more is too many, over or not."""
        lately = self._lately
        lately.forget(now)
        if len(lately) >= (CALLS_IN_ALL if is_known else NEW_CALLS_IN_ALL):
            return True
        if lately.of(network) >= CALLS_PER_NETWORK:
            return True
        most = CALLS_PER_LINE if is_known else NEW_CALLS_PER_LINE
        return bool(line_id) and lately.of(line_id) >= most

    def began(self, context: str, line_id: int, network: str, now: float) -> None:
        """A call was admitted."""
        self._lately.count(line_id, network, now)
        self._calls[context] = (line_id, network)
        held = self._lines.setdefault(line_id, {})
        held[network] = held.get(network, 0) + 1
        self._networks[network] = self._networks.get(network, 0) + 1

    def asks_in(self, context: str, now: float) -> bool:
        """Whether a stranger may send one more request inside this call; it is counted then."""
        inside = self._inside
        inside.forget(now)
        if len(inside) >= INSIDE_IN_ALL or inside.of(context) >= INSIDE_A_CALL:
            return False
        inside.count(0, context, now)  # of no line
        return True

    def answered(self, context: str) -> None:
        """Somebody has taken the call: its network is known to the line from now on.

        Not to a service: that takes every call, and would push out who is known to lines.
        """
        pair = self._calls.get(context)
        if pair is not None and pair[0]:
            self.talked.add(*pair)

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

    def proved_in(self, context: str, network: str) -> None:
        """It came in this call; from another network than the call, it proves nothing."""
        pair = self._calls.get(context)
        if pair is not None and pair[1] == network:
            self.proved(network)

    def has_proved(self, network: str) -> bool:
        return network in self._proved

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
