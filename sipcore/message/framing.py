"""Messages out of a byte stream, by Content-Length (RFC 3261 §18.3), and CRLF keep-alives."""

from __future__ import annotations

from typing import Final

from sipcore.errors import LimitExceeded, MalformedMessage
from sipcore.message.limits import DEFAULT_LIMITS, Limits


class _Ping:
    """The keep-alive of RFC 5626 §3.5.1: a double CRLF between messages."""

    def __repr__(self) -> str:
        return "PING"


PING: Final = _Ping()
"""Stands in the output of `StreamFramer.feed` for each CRLFCRLF: answer with one CRLF."""


class StreamFramer:
    """Collects bytes, gives whole messages. After an error the stream is of no more use."""

    __slots__ = ("_body_start", "_buffer", "_limits", "_need", "_scanned")

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._need = 0
        """Size of the message at the front, 0 while its header is incomplete."""
        self._scanned = 0
        self._body_start = 0

    def feed(self, data: bytes) -> list[bytes | _Ping]:
        """Take bytes as they come; the complete messages and pings among them."""
        buffer = self._buffer
        buffer += data
        out: list[bytes | _Ping] = []
        while buffer:
            if not self._need and not self._measure(out):
                break
            if len(buffer) < self._need:
                break
            out.append(bytes(buffer[: self._need]))
            del buffer[: self._need]
            self._need = self._scanned = 0
        return out

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
            if len(buffer) > limit:
                raise LimitExceeded("header_block_bytes", limit, len(buffer), status=513)
            return False
        if end > limit:
            raise LimitExceeded("header_block_bytes", limit, end, status=513)
        self._need = end + 4 + self._content_length(bytes(buffer[: end + 2]))
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
        found: set[bytes] = set()
        for line in head.split(b"\r\n")[1:]:
            name, colon, value = line.partition(b":")
            if colon and name.strip().lower() in (b"content-length", b"l"):
                found.add(value.strip())
        if len(found) != 1:
            raise MalformedMessage("needed once on a stream", header="content-length")
        value = found.pop()
        if not value.isdigit() or len(value) > 10:
            raise MalformedMessage("not a number", header="content-length")
        length = int(value)
        if length > self._limits.body_bytes:
            raise LimitExceeded("body_bytes", self._limits.body_bytes, length, status=413)
        return length
