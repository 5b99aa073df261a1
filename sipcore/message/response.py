"""Responses (RFC 3261 §7.2)."""

from __future__ import annotations

from sipcore.message.message import Message


class Response(Message):
    """A response."""

    __slots__ = ("from_elsewhere", "reason", "status")

    def __init__(
        self,
        status: int,
        reason: str,
        keys: list[str],
        lines: list[str],
        body: bytes = b"",
        tops: dict[str, str] | None = None,
    ) -> None:
        Message.__init__(self, keys, lines, body, tops)
        self.status = status
        self.reason = reason
        self.from_elsewhere = False
        """Whether it came from another host than the request was sent to."""

    @property
    def start_line(self) -> str:
        return f"SIP/2.0 {self.status} {self.reason}"

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.first('cseq')} {self.first('call-id')}>"

    def copy(self) -> Response:
        """A copy whose rows may be edited by themselves."""
        other = Response(self.status, self.reason, self.keys.copy(), self.lines.copy(), self.body)
        self._copy_values(other)
        return other
