"""A dialog of which we are an end (RFC 3261 §12): tags, CSeqs, remote target, route set.

A 2xx of ours to an INVITE is repeated by the user agent core, not by its transaction, until the ACK
comes (§13.3.1.4): `advance` says when and what.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sipcore.message import Request, Response

T1_S: Final = 0.5
T2_S: Final = 4.0
ACK_WAIT_S: Final = 64 * T1_S


class OwnDialog:
    """Made by a 2xx to an INVITE: see `as_callee` and `as_caller`."""

    __slots__ = (
        "acknowledged",
        "call_id",
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
        "waits_since",
    )

    def __init__(
        self,
        call_id: str,
        local_tag: str,
        remote_tag: str,
        local_value: str,
        remote_value: str,
        local_cseq: int,
        remote_cseq: int,
        remote_target: str,
        routes: list[str],
    ) -> None:
        self.call_id = call_id
        self.local_tag = local_tag
        self.remote_tag = remote_tag
        self.local_value = local_value
        self.remote_value = remote_value
        self.local_cseq = local_cseq
        self.remote_cseq = remote_cseq
        self.remote_target = remote_target
        self.routes = routes
        self.response: bytes | None = None
        """The 2xx that is repeated."""
        self.acknowledged = True
        self.waits_since = 0.0
        self.repeat_s = T1_S
        self.next_repeat = 0.0

    @classmethod
    def as_callee(cls, invite: Request, response: Response) -> OwnDialog:
        """The called side (§12.1.1)."""
        contacts = invite.contacts
        return cls(
            call_id=invite.call_id,
            local_tag=response.to_tag,
            remote_tag=invite.from_tag,
            local_value=response.first("to") or "",
            remote_value=invite.first("from") or "",
            local_cseq=0,
            remote_cseq=invite.cseq_number,
            remote_target=contacts[0].uri.text if contacts else invite.from_.uri_text,
            routes=list(invite.record_routes),
        )

    @classmethod
    def as_caller(cls, invite: Request, response: Response, routes: list[str]) -> OwnDialog:
        """The calling side (§12.1.2). `routes` are those beyond ourselves, nearest first."""
        contacts = response.contacts
        return cls(
            call_id=invite.call_id,
            local_tag=invite.from_tag,
            remote_tag=response.to_tag,
            local_value=invite.first("from") or "",
            remote_value=response.first("to") or "",
            local_cseq=invite.cseq_number,
            remote_cseq=-1,
            remote_target=contacts[0].uri.text if contacts else "",
            routes=routes,
        )

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

    # --- our 2xx, until it is acknowledged ---------------------------------------------------
    def await_ack(self, response: Response, now: float) -> None:
        """A 2xx of ours is being sent: repeat it until `ack`."""
        self.response = response.to_bytes()
        self.acknowledged = False
        self.waits_since = now
        self.repeat_s = T1_S
        self.next_repeat = now + T1_S

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
        return not self.acknowledged and now - self.waits_since >= ACK_WAIT_S

    # --- our requests ------------------------------------------------------------------------
    def request(
        self,
        method: str,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        cseq: int | None = None,
    ) -> Request:
        """A request of ours inside the dialog, without Via (§12.2.1.1).

        `cseq` is for an ACK, which has the number of its INVITE.
        """
        if cseq is None:
            self.local_cseq += 1
            cseq = self.local_cseq
        rows = [("Route", value) for value in self.routes]
        rows += [
            ("Max-Forwards", "70"),
            ("From", self.local_value),
            ("To", self.remote_value),
            ("Call-ID", self.call_id),
            ("CSeq", f"{cseq} {method}"),
            *headers,
        ]
        return Request.build(method, self.remote_target, rows, body)
