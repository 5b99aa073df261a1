"""Bodies of requests to us: their type, and whether they must be understood."""

from __future__ import annotations

import pytest

from sipcore.apps.bodies import is_encoded, is_optional, is_required, type_of_body
from tests.sipcore.examples import a_request


@pytest.mark.section("3261 7.4.1")
@pytest.mark.parametrize(
    ("row", "media_type"),
    [
        ("Subject: none is named", "text/plain"),
        ("Content-Type:", "text/plain"),
        ("Content-Type: application/sdp", "application/sdp"),
        ("Content-Type: Application/SDP", "application/sdp"),
        ("Content-Type: text/html ; charset=utf-8", "text/html"),
        ("c: application/sdp", "application/sdp"),
    ],
)
def test_the_type_of_a_body(row: str, media_type: str) -> None:
    assert type_of_body(a_request(row, body=b"x")) == media_type


@pytest.mark.section("3261 20.12")
@pytest.mark.parametrize(
    ("row", "body", "encoded"),
    [
        ("Subject: nothing is said", b"x", False),
        ("Content-Encoding: gzip", b"x", True),
        ("e: gzip", b"x", True),
        ("Content-Encoding: Identity", b"x", False),
        ("Content-Encoding: gzip", b"", False),
    ],
)
def test_a_body_that_is_encoded(row: str, body: bytes, encoded: bool) -> None:
    assert is_encoded(a_request(row, body=body)) is encoded


@pytest.mark.section("5621 3.3", "3261 20.11")
@pytest.mark.parametrize("body", [b"x", b""])
@pytest.mark.parametrize(
    ("row", "handling"),
    [
        ("Subject: nothing is said", ""),
        ("Content-Disposition: session", ""),
        ("Content-Disposition: session;handling=optional", "optional"),
        ("Content-Disposition: session; Handling = OPTIONAL ;x=y", "optional"),
        ("Content-Disposition: session;x=y;handling=required", "required"),
        ("Content-Disposition: handling=optional", ""),  # that is its type
        ("Content-Disposition: session;handling", ""),
        ("Content-Disposition: session;handling=later", ""),
    ],
)
def test_whether_a_body_must_be_understood(row: str, handling: str, body: bytes) -> None:
    request = a_request(row, body=body)
    assert is_optional(request) is (handling == "optional")
    assert is_required(request) is (handling == "required" and body != b"")
