"""A network in memory with virtual time: datagrams between addresses, as unkind as real ones.

Everything is drawn from one random source, so a run is replayed from its seed. Nothing here reads a
clock: `run_until` moves time from one event to the next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from sipcore.transport.flow import Address

if TYPE_CHECKING:
    from random import Random

Receiver = Callable[[bytes, Address, float], None]
"""Takes (datagram, source address, now)."""

EPOCH: Final = 1_700_000_000.0
"""The UTC time of virtual second 0: wall clocks of simulated hosts read `EPOCH + now`."""


@dataclass(slots=True, frozen=True)
class Conditions:
    """How unkind the network is. Delays in seconds, the others are probabilities."""

    loss: float = 0.0
    duplication: float = 0.0
    min_delay_s: float = 0.001
    max_delay_s: float = 0.020
    """Delays are drawn evenly, so a wide range reorders."""


KIND: Final = Conditions()
"""Nothing lost, nothing late."""


class MemoryNetwork:
    """Addresses, datagrams on their way, and any other events of the simulated world."""

    def __init__(self, random: Random, conditions: Conditions = KIND) -> None:
        self.random = random
        self.conditions = conditions
        self.now = 0.0
        self.lost = 0
        self._receivers: dict[Address, Receiver] = {}
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._sequence = 0

    @property
    def at(self) -> float:
        """The wall clock of every host."""
        return EPOCH + self.now

    def attach(self, address: Address, receiver: Receiver) -> None:
        """Deliver datagrams for this address here; the last one attached counts."""
        self._receivers[address] = receiver

    def detach(self, address: Address) -> None:
        """Datagrams for this address are lost from now on."""
        self._receivers.pop(address, None)

    def at_time(self, time: float, event: Callable[[float], None]) -> None:
        """Call `event(now)` at this time; events of one time run in the order they were put."""
        self._sequence += 1
        heappush(self._events, (max(time, self.now), self._sequence, event))

    def after(self, delay_s: float, event: Callable[[float], None]) -> None:
        """Call `event(now)` after a delay."""
        self.at_time(self.now + delay_s, event)

    def send(self, data: bytes, source: Address, destination: Address) -> None:
        """Put a datagram on the wire: lost, delivered once, or delivered twice."""
        conditions = self.conditions
        if conditions.loss and self.random.random() < conditions.loss:
            self.lost += 1
            return
        copies = 1
        if conditions.duplication and self.random.random() < conditions.duplication:
            copies = 2
        for _ in range(copies):
            delay = self.random.uniform(conditions.min_delay_s, conditions.max_delay_s)
            self.after(delay, lambda now: self._deliver(data, source, destination, now))

    def _deliver(self, data: bytes, source: Address, destination: Address, now: float) -> None:
        receiver = self._receivers.get(destination)
        if receiver is None:
            self.lost += 1
        else:
            receiver(data, source, now)

    def run_until(self, time: float) -> None:
        """Run all events up to this time."""
        while self._events and self._events[0][0] <= time:
            self.now, _, event = heappop(self._events)
            event(self.now)
        self.now = max(self.now, time)

    @property
    def pending(self) -> int:
        """Events not yet run."""
        return len(self._events)
