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

    Its origin says which session it belongs to: that of `first`, one version later.
    """
    origin = _origin(first)
    words = origin.split(b" ")
    if len(words) != 6:
        return body
    words[2] = str(int(words[2]) + 1).encode()
    return body.replace(_origin(body), b" ".join(words), 1)


def _origin(body: bytes) -> bytes:
    """The line that begins with `o=`."""
    start = body.find(b"o=")
    end = body.find(b"\n", start)
    return body[start:end].rstrip(b"\r")
