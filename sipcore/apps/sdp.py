"""The little that services need of session descriptions (RFC 4566, RFC 3264)."""

from __future__ import annotations

from typing import Final

HOLD: Final = (
    b"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
    b"m=audio 9 RTP/AVP 9 8 0\r\na=inactive\r\n"
)
"""An offer of sound that is not sent yet: who answers is there, and hears nothing."""


def in_session_of(first: bytes, body: bytes) -> bytes:
    """A description of somebody else as the next version of `first` (RFC 3264 §8, RFC 3725 §6).

    Its origin says which session it belongs to: that of `first`, one version later. Where it has none
    of its own the line is put behind `v=`, where it belongs (RFC 4566 §5). What begins otherwise, or
    has nothing to continue, is left as it is.
    """
    start, end = _origin(first)
    words = first[start:end].split(b" ")
    if len(words) != 6 or not words[2].isdigit():
        return body
    words[2] = str(int(words[2]) + 1).encode()
    origin = b" ".join(words)
    start, end = _origin(body)
    if start >= 0:
        return body[:start] + origin + body[end:]
    version, newline, rest = body.partition(b"\n")
    if not newline or not version.startswith(b"v="):
        return body
    ending = b"\r\n" if version.endswith(b"\r") else b"\n"
    return version + newline + origin + ending + rest


def _origin(body: bytes) -> tuple[int, int]:
    """Where the first line that is `o=` begins and ends, without its line break; -1 for none."""
    start = 0 if body.startswith(b"o=") else body.find(b"\no=") + 1
    if start == 0 and not body.startswith(b"o="):
        return -1, -1
    end = body.find(b"\n", start)
    end = len(body) if end < 0 else end
    return start, end - (body[end - 1 : end] == b"\r")
