"""What a response context and its branches need from the worker they live in."""

from __future__ import annotations

from sipcore.locate import NextHops, Question
from sipcore.random_source import RandomSource
from sipcore.routing.plan import Target
from sipcore.transaction import Timers
from sipcore.transaction.sender import Sender
from sipcore.transport.own_addresses import OwnAddresses


class ProxyHost(Sender):
    """A sender that finds next hops, and hears of flows that are gone."""

    def __init__(
        self,
        own: OwnAddresses,
        random: RandomSource,
        timers: Timers,
        max_transactions: int,
        max_datagram_bytes: int,
    ) -> None:
        super().__init__(own, random, timers, max_transactions)
        self.max_datagram_bytes = max_datagram_bytes
        """Larger requests go by a stream where the peer has one (RFC 3261 §18.1.1)."""
        self.next_hops = NextHops(self, self.ask, self.new_call_id)

    def ask(self, question: Question) -> None:
        """Have the DNS asked; `NextHops.answer` gets the answer."""
        raise NotImplementedError

    def new_call_id(self) -> str:
        """A fresh Call-ID for a request of our own."""
        raise NotImplementedError

    def flow_failed(self, target: Target, now: float) -> None:
        """The flow that a contact registered by is gone (RFC 5626 §7)."""
        raise NotImplementedError

    def may_lead_to(self, address: str, source: str) -> bool:
        """Whether an account that sends from `source` may have datagrams sent to this address.

        Those of a private network only where it sends from one of that kind itself, or where an
        administrator has opened it.
        """
        raise NotImplementedError
