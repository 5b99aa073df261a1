"""Messages for tables of cases: parsed from the wire, with what every message has."""

from __future__ import annotations

from typing import Final

from sipcore.message import Message, Request, Response, parse_message

USUAL: Final = {
    "Via": "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKpeer",
    "Max-Forwards": "70",
    "From": "<sip:anna@campus.example>;tag=a",
    "Call-ID": "call",
}


def a_request(
    *rows: str,
    uri: str = "sip:bob@campus.example",
    method: str = "INVITE",
    body: bytes = b"",
    without: str = "",
) -> Request:
    """A request with these rows, in place of the usual ones of their names."""
    usual = USUAL | {"To": "<sip:bob@campus.example>", "CSeq": f"1 {method}"}
    message = _parsed(f"{method} {uri} SIP/2.0", usual, rows, without, body)
    assert isinstance(message, Request)
    return message


def a_response(status: int, *rows: str, method: str = "INVITE", body: bytes = b"") -> Response:
    """A response with these rows, in place of the usual ones; its To has a tag."""
    usual = USUAL | {"To": "<sip:bob@campus.example>;tag=b", "CSeq": f"1 {method}"}
    message = _parsed(f"SIP/2.0 {status} Whatever", usual, rows, "Max-Forwards", body)
    assert isinstance(message, Response)
    return message


def in_words(value: object) -> str | None:
    """The id of a parameter that is a list: its items, as they are."""
    return " / ".join(map(str, value)) if isinstance(value, list | tuple) else None


def _parsed(
    start: str, usual: dict[str, str], rows: tuple[str, ...], without: str, body: bytes
) -> Message:
    named = {row.partition(":")[0] for row in rows} | {without}
    lines = [f"{name}: {value}" for name, value in usual.items() if name not in named]
    head = "\r\n".join((start, *lines, *rows, f"Content-Length: {len(body)}", "", ""))
    return parse_message(head.encode("utf-8", "surrogateescape") + body)
