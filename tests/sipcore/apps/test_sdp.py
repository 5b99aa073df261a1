"""A description of somebody else as the next version of a session (RFC 3264 §8)."""

from __future__ import annotations

import pytest

from sipcore.apps.sdp import HOLD, in_session_of

OTHER = b"v=0\r\no=bob 77 8 IN IP4 192.0.2.2\r\ns=x\r\nm=audio 4000 RTP/AVP 0\r\n"


@pytest.mark.section("3264 8", "3725 6")
@pytest.mark.parametrize(
    ("first", "body", "expected"),
    [
        (HOLD, OTHER, OTHER.replace(b"bob 77 8 IN IP4 192.0.2.2", b"- 1 2 IN IP4 0.0.0.0")),
        (OTHER, HOLD, HOLD.replace(b"- 1 1 IN IP4 0.0.0.0", b"bob 77 9 IN IP4 192.0.2.2")),
        (b"v=0\no=a 1 9 IN IP4 h\n", b"o=b 2 2 IN IP4 h\n", b"o=a 1 10 IN IP4 h\n"),
        (b"o=a 1 1 IN IP4 h\r\n", b"o=b 2 2 IN IP4 h\n", b"o=a 1 2 IN IP4 h\n"),
        # Only the origin: the same text further on stays.
        (
            b"o=a 1 1 IN IP4 h\r\n",
            b"o=b 2 2 IN IP4 h\r\ns=o=b 2 2 IN IP4 h\r\n",
            b"o=a 1 2 IN IP4 h\r\ns=o=b 2 2 IN IP4 h\r\n",
        ),
        # Without an origin that can be read it goes on as it is.
        (b"v=0\r\n", OTHER, OTHER),
        (b"o=too few words\r\n", OTHER, OTHER),
        (b"o=one 2 3 IN IP4 h more\r\n", OTHER, OTHER),
        (b"o=a 1 x IN IP4 h\r\n", OTHER, OTHER),
        # A description without an origin gets one where it belongs, and never before its version.
        (
            b"v=0\r\no=a 1 1 IN IP4 h\r\n",
            b"v=0\r\ns=o=x\r\nm=audio 1 RTP/AVP 0\r\n",
            b"v=0\r\no=a 1 2 IN IP4 h\r\ns=o=x\r\nm=audio 1 RTP/AVP 0\r\n",
        ),
        (b"o=a 1 1 IN IP4 h", b"v=0\ns=-\n", b"v=0\no=a 1 2 IN IP4 h\ns=-\n"),
        (b"o=a 1 1 IN IP4 h\r\n", b"s=-\r\n", b"s=-\r\n"),
        (b"o=a 1 1 IN IP4 h\r\n", b"", b""),
        (b"v=0\r\ns=o=1 2 3 4 5 6\r\n", OTHER, OTHER),
    ],
    ids=[
        *("answer", "offer", "line feeds", "both", "the first alone", "none", "few", "many"),
        *("no number", "no origin", "no origin and line feeds", "no version", "nothing", "not its own line"),
    ],
)
def test_it_continues_the_session(first: bytes, body: bytes, expected: bytes) -> None:
    assert in_session_of(first, body) == expected


def test_version_after_version_is_one_more() -> None:
    second = in_session_of(HOLD, OTHER)
    assert b"o=- 1 3 IN" in in_session_of(second, OTHER)


@pytest.mark.section("3264 5.1")
def test_the_offer_of_no_sound_yet() -> None:
    assert b"a=inactive" in HOLD
    assert HOLD.endswith(b"\r\n")
