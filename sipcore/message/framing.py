"""Messages out of a byte stream, by Content-Length (RFC 3261 §18.3), and CRLF keep-alives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sipcore.errors import LimitExceeded, MalformedMessage
from sipcore.message.limits import DEFAULT_LIMITS, Limits
from sipcore.message.scan import scan_partial


class _Ping:
    """The keep-alive of RFC 5626 §3.5.1: a double CRLF between messages."""

    def __repr__(self) -> str:
        return "PING"


PING: Final = _Ping()
"""Stands in the output of `StreamFramer.feed` for each CRLFCRLF: answer with one CRLF."""


class StreamFramer:
    """Collects bytes, gives whole messages. After an error the stream is of no more use.

    `failure` is that error. Where whole messages came before it, `feed` gives these first and raises
    at its next call: what arrives does not depend on how TCP cut it.
    """

    __slots__ = ("_buffer", "_limits", "_need", "_scanned", "failure")

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._need = 0
        """Size of the message at the front, 0 while its header is incomplete."""
        self._scanned = 0
        self.failure: MalformedMessage | None = None

    def feed(self, data: bytes) -> list[bytes | _Ping]:
        """Take bytes as they come; the complete messages and pings among them."""
        if self.failure is not None:
            raise self.failure.with_traceback(None)
        self._buffer += data
        out: list[bytes | _Ping] = []
        try:
            self._cut(out)
        except MalformedMessage as error:
            self.failure = error
            error.partial = scan_partial(self._buffer, self._limits)
            self._buffer.clear()
            if not out:
                raise
        return out

    def _cut(self, out: list[bytes | _Ping]) -> None:
        """Move what is complete from the buffer to `out`."""
        buffer = self._buffer
        while buffer and (self._need or self._measure(out)) and len(buffer) >= self._need:
            out.append(bytes(buffer[: self._need]))
            del buffer[: self._need]
            self._need = self._scanned = 0

    @property
    def waiting_bytes(self) -> int:
        """Bytes of an incomplete message: what a slow sender makes us keep."""
        return len(self._buffer)

    def _measure(self, out: list[bytes | _Ping]) -> bool:
        """Find the size of the message at the front; False when more bytes are needed."""
        buffer = self._buffer
        if not self._skip_empty_lines(out):
            return False
        end = buffer.find(b"\r\n\r\n", max(0, self._scanned - 3))
        limit = self._limits.header_block_bytes
        if end < 0:
            self._scanned = len(buffer)
            if len(buffer) > limit + 3:  # the last three may begin the empty line
                raise LimitExceeded("header_block_bytes", limit, len(buffer), status=513)
            return False
        if end > limit:
            raise LimitExceeded("header_block_bytes", limit, end, status=513)
        self._need = end + 4 + self._content_length(bytes(buffer[:end]))
        return True

    def _skip_empty_lines(self, out: list[bytes | _Ping]) -> bool:
        """Drop CRLFs between messages (§7.5), noting pings; False when nothing else is here."""
        buffer = self._buffer
        while buffer and buffer[0] in (0x0D, 0x0A):
            if buffer[:4] == b"\r\n\r\n":
                out.append(PING)
                del buffer[:4]
            elif b"\r\n\r\n".startswith(buffer[:4]) and len(buffer) < 4:
                return False  # perhaps the first half of a ping
            else:
                del buffer[: 2 if buffer[:2] == b"\r\n" else 1]
            self._scanned = 0
        return bool(buffer)

    def _content_length(self, head: bytes) -> int:
        found = set(_content_lengths(head))
        if len(found) != 1:
            raise MalformedMessage("needed once on a stream", header="content-length")
        value = found.pop()
        if not value.isdigit() or len(value) > 10:
            raise MalformedMessage("not a number", header="content-length")
        length = int(value)
        if length > self._limits.body_bytes:
            raise LimitExceeded("body_bytes", self._limits.body_bytes, length, status=413)
        return length


def _content_lengths(head: bytes) -> Iterator[bytes]:
    """The values of all Content-Length rows, by the rules that `parse_message` reads them by."""
    if b"\r\n " in head or b"\r\n\t" in head:
        head = head.replace(b"\r\n ", b" ").replace(b"\r\n\t", b"\t")
    lowered = head.lower()
    for name in (b"\r\ncontent-length", b"\r\nl"):
        at = lowered.find(name)
        while at >= 0:
            start = at + len(name)
            end = lowered.find(b"\r\n", start)
            row = head[start : end if end >= 0 else len(head)].lstrip(b" \t")
            if row[:1] == b":":
                yield row[1:].strip(b" \t")
            at = lowered.find(name, start)
