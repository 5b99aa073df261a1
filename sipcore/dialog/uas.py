"""The called side of a dialog (RFC 3261 §12.1.1, §12.2): tags, CSeqs, remote target, route set.

The 2xx is repeated by the user agent core, not by its transaction, until the ACK comes
(§13.3.1.4): `advance` says when and what.
"""

from __future__ import annotations

from typing import Final

from sipcore.message import Request, Response
from sipcore.transport.flow import Flow

T1_S: Final = 0.5
T2_S: Final = 4.0
ACK_WAIT_S: Final = 64 * T1_S


class UasDialog:
    """A dialog made by our 2xx to an INVITE."""

    __slots__ = (
        "acknowledged",
        "call_id",
        "flow",
        "local_cseq",
        "local_tag",
        "local_value",
        "next_repeat",
        "remote_cseq",
        "remote_tag",
        "remote_target",
        "remote_value",
        "repeat_s",
        "response",
        "routes",
        "started",
    )

    def __init__(self, invite: Request, response: Response, flow: Flow, now: float) -> None:
        self.call_id = invite.call_id
        self.local_tag = response.to_tag
        self.remote_tag = invite.from_tag
        self.local_value = response.first("to") or ""
        self.remote_value = invite.first("from") or ""
        self.remote_cseq = invite.cseq_number
        self.local_cseq = 0
        contacts = invite.contacts
        self.remote_target = contacts[0].uri.text if contacts else invite.from_.uri_text
        self.routes = list(invite.record_routes)
        self.flow = flow
        """Where responses to the INVITE go."""
        self.response: bytes | None = response.to_bytes()
        self.acknowledged = False
        self.started = now
        self.repeat_s = T1_S
        self.next_repeat = now + T1_S

    @property
    def key(self) -> tuple[str, str, str]:
        """Call-ID, our tag, their tag."""
        return (self.call_id, self.local_tag, self.remote_tag)

    def in_order(self, request: Request) -> bool:
        """Whether a request's CSeq is higher than all before; remembers it (§12.2.2)."""
        if request.cseq_number <= self.remote_cseq:
            return False
        self.remote_cseq = request.cseq_number
        return True

    def ack(self) -> None:
        """The ACK of the 2xx came: nothing more to repeat."""
        self.acknowledged = True
        self.response = None

    def advance(self, now: float) -> bytes | None:
        """The 2xx to send again now, or None; doubling up to T2."""
        if self.acknowledged or now < self.next_repeat:
            return None
        self.repeat_s = min(self.repeat_s * 2, T2_S)
        self.next_repeat = now + self.repeat_s
        return self.response

    def given_up(self, now: float) -> bool:
        """Whether the ACK never came in 64*T1: the dialog is to be ended with BYE."""
        return not self.acknowledged and now - self.started >= ACK_WAIT_S

    def request(self, method: str) -> Request:
        """A request of ours inside the dialog, without Via (§12.2.1.1)."""
        self.local_cseq += 1
        headers = [("Route", value) for value in self.routes]
        headers += [
            ("Max-Forwards", "70"),
            ("From", self.local_value),
            ("To", self.remote_value),
            ("Call-ID", self.call_id),
            ("CSeq", f"{self.local_cseq} {method}"),
        ]
        return Request.build(method, self.remote_target, headers)
