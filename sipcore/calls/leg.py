"""One end of a dialog as a proxy sees it: contact, routes, CSeq, flow (RFC 3261 §12)."""

from __future__ import annotations

from sipcore.transport.flow import Flow


class Leg:
    """What is needed to send requests to one party of a call from the middle."""

    __slots__ = (
        "contact",
        "cseq",
        "device_id",
        "flow",
        "has_moved",
        "misses",
        "peer",
        "routes",
        "source",
    )

    def __init__(
        self,
        contact: str,
        routes: list[str],
        cseq: int,
        flow: Flow | None,
        source: Flow | None = None,
        device_id: int = 0,
        peer: str = "",
    ) -> None:
        self.contact = contact
        """The remote target; "" where a service of ours is this end."""
        self.routes = routes
        """Record-Route values between us and this party, nearest first."""
        self.cseq = cseq
        """The highest CSeq number of this party's requests."""
        self.flow = flow
        """How this party is reached, None where Route and Contact lead there."""
        self.misses = 0
        """Probes in a row that this party has not answered."""
        self.source = source
        """Where its messages come from, None where a service of ours is this end."""
        self.device_id = device_id
        """The device of the account that this party is, 0 where there is none."""
        self.peer = peer
        """The domain of the trusted peer it is, or ""."""
        self.has_moved = False
        """Whether it is elsewhere than the call token says."""

    def move(self, flow: Flow | None, source: Flow) -> None:
        """It is in another network, or has another connection."""
        self.flow, self.source, self.has_moved = flow, source, True
        self.misses = 0

    def seen(self, cseq: int) -> None:
        """A request of this party passed: it is there, and counts from here."""
        self.misses = 0
        self.cseq = max(self.cseq, cseq)
