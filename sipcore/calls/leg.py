"""One end of a dialog as a proxy sees it: contact, routes, CSeq, flow (RFC 3261 §12)."""

from __future__ import annotations

from sipcore.transport.flow import Flow


class Leg:
    """What is needed to send requests to one party of a call from the middle."""

    __slots__ = ("contact", "cseq", "flow", "misses", "routes")

    def __init__(self, contact: str, routes: list[str], cseq: int, flow: Flow | None) -> None:
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

    def seen(self, cseq: int) -> None:
        """A request of this party passed: it is there, and counts from here."""
        self.misses = 0
        self.cseq = max(self.cseq, cseq)
