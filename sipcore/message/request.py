"""Requests (RFC 3261 §7.1), and the responses made from them (§8.2.6)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sipcore.errors import MalformedMessage
from sipcore.message.grammar import BLANKS
from sipcore.message.message import Message
from sipcore.message.names import canonical
from sipcore.message.reasons import REASONS
from sipcore.message.response import Response
from sipcore.message.uri import Uri, parse_uri


class Request(Message):
    """A request."""

    __slots__ = (
        "_uri",
        "_uri_text",
        "is_for_strict_router",
        "method",
        "stamped_via",
        "unstamped_via",
    )

    def __init__(
        self,
        method: str,
        uri_text: str,
        keys: list[str],
        lines: list[str],
        body: bytes = b"",
        tops: dict[str, str] | None = None,
    ) -> None:
        Message.__init__(self, keys, lines, body, tops)
        self.method = method
        self._uri_text = uri_text
        self._uri: Uri | None = None
        self.is_for_strict_router = False
        """Whether the Request-URI is that of the next hop, taken from the Route (§16.6 step 6)."""
        self.unstamped_via = ""
        """The topmost Via as its sender wrote it, where we noted in it where it came from."""
        self.stamped_via = ""
        """What the topmost Via is then: its responses have to have it."""

    @classmethod
    def build(
        cls, method: str, uri_text: str, headers: Iterable[tuple[str, str]], body: bytes = b""
    ) -> Request:
        """A request of our own."""
        keys, lines = [], []
        for name, value in headers:
            keys.append(canonical(name))
            lines.append(f"{name}: {value}")
        return cls(method, uri_text, keys, lines, body)

    @property
    def uri_text(self) -> str:
        return self._uri_text

    @uri_text.setter
    def uri_text(self, text: str) -> None:
        self._uri_text = text
        self._uri = None

    @property
    def uri(self) -> Uri:
        """The Request-URI, parsed at first use."""
        if self._uri is None:
            self._uri = parse_uri(self._uri_text)
        return self._uri

    @property
    def start_line(self) -> str:
        return f"{self.method} {self._uri_text} SIP/2.0"

    @property
    def wants_privacy(self) -> bool:
        """Whether the sender asked for any kind of privacy (RFC 3323 §4.2)."""
        privacy = self.first("privacy")
        return privacy is not None and privacy.lower() != "none"

    @property
    def is_plain(self) -> bool:
        """Whether it is written as nearly all are that come outside a call: `strict` passes it.

        Nothing is read for it: what most phones write is known by how its rows begin. `strict` looks
        closely at the rest.
        """
        tops = self._tops
        if tops is None:
            tops = self._index()
        sender, to, contact = tops["from"], tops["to"], tops.get("contact", _PLAIN_CONTACT)
        uri_text, call_id = self._uri_text, self.call_id
        via, number = self._via or self.via, self._cseq_number or 0
        text = f"{sender}{to}{contact}{uri_text}"
        return not (
            "?" in text
            or "[" in text
            or uri_text[:4] != "sip:"
            or (sender[:11] != "From: <sip:" and '" <sip:' not in sender)
            or (contact[:14] != _PLAIN_CONTACT and '" <sip:' not in contact)
            or (to[:9] != "To: <sip:" and ('" <sip:' not in to or self.to.needs_quotes))
            or not call_id
            or " " in call_id
            or "\t" in call_id
            or len(tops) != len(self.keys)
            or "," in tops["via"]
            or "route" in tops
            or "record-route" in tops
            or "path" in tops
            or via.flaw
            or number > MAX_CSEQ
        )

    def __repr__(self) -> str:
        return f"<Request {self.method} {self._uri_text} {self.first('call-id')}>"

    def copy(self) -> Request:
        """A copy whose rows may be edited by themselves."""
        other = Request(self.method, self._uri_text, self.keys.copy(), self.lines.copy(), self.body)
        self._copy_values(other)
        other._uri = self._uri
        other.unstamped_via = self.unstamped_via
        return other

    def respond(
        self,
        status: int,
        reason: str = "",
        *,
        to_tag: str = "",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Response:
        """A response: Vias in order, From, To, Call-ID, CSeq copied (RFC 3261 §8.2.6.2).

        To gets `to_tag` when it has no tag; Timestamp is copied into a 100.
        """
        keys, lines = self._copied_rows(status > 100)
        if to_tag and status > 100 and "to" in keys and not self._has_to_tag():
            index = keys.index("to")
            lines[index] = f"{lines[index].rstrip(BLANKS)};tag={to_tag}"
        for name, value in headers:
            keys.append(canonical(name))
            lines.append(f"{name}: {value}")
        keys.append("content-length")
        lines.append(f"Content-Length: {len(body)}")
        return Response(status, reason or REASONS.get(status, "Unknown"), keys, lines, body)

    def _copied_rows(self, is_final_or_ringing: bool) -> tuple[list[str], list[str]]:
        """Keys and lines of what a response copies: each once, as nearly always, or all there are."""
        present, lines = self.keys, self.lines
        if is_final_or_ringing and present.count("via") == 1:
            keys = [key for key in _COPIED if key in present]
            return keys, [lines[present.index(key)] for key in keys]
        copied = _COPIED if is_final_or_ringing else _COPIED_TO_100
        pairs = [(k, n) for k, n in zip(present, lines, strict=True) if k in copied]
        return [key for key, _ in pairs], [line for _, line in pairs]

    def _has_to_tag(self) -> bool:
        try:
            return bool(self.to_tag)
        except MalformedMessage:
            return ";tag=" in (self.first("to") or "").lower()


MAX_CSEQ: Final = (1 << 31) - 1
"""RFC 3261 §8.1.1.5: less than 2^31."""
_PLAIN_CONTACT: Final = "Contact: <sip:"
_COPIED: Final[tuple[str, ...]] = ("via", "from", "to", "call-id", "cseq")
_COPIED_TO_100: Final[tuple[str, ...]] = (*_COPIED, "timestamp")
