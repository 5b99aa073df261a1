"""What the fuzzer calls: each takes any bytes and raises when the parser breaks a promise.

Only the parser's own errors are let pass. Everything that is said to be read and printed must read
the same again, and how a stream was cut must not matter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sipcore.auth.credentials import read_credentials
from sipcore.errors import MalformedMessage
from sipcore.message import (
    PING,
    Request,
    Response,
    StreamFramer,
    parse_auth_params,
    parse_message,
    parse_name_addr,
    parse_uri,
    parse_via,
)
from sipcore.message.grammar import is_token, split_top
from sipcore.transport.flow import Flow
from sipcore.transport.way_back import response_flow, stamp_source

FLOW = Flow("UDP", ("192.0.2.1", 5060), ("192.0.2.99", 40_000))
LISTS = ("contact", "route", "record-route", "via", "path", "supported", "require", "x-any")
VALUES: tuple[Callable[[Any], object], ...] = (
    lambda m: m.via,
    lambda m: m.from_.uri,
    lambda m: m.to.params,
    lambda m: m.from_tag + m.to_tag,
    lambda m: m.call_id,
    lambda m: m.cseq_number,
    lambda m: m.branch,
    lambda m: [c.uri for c in m.contacts],
    lambda m: [r.uri for r in m.routes],
    lambda m: m.max_forwards,
    lambda m: m.expires,
    lambda m: [m.values(key) for key in LISTS],
    lambda m: m.require + m.proxy_require + m.supported,
)


def datagram(data: bytes) -> None:
    """A datagram: parsed, read in every way, printed, read again, answered."""
    try:
        message = parse_message(data)
    except MalformedMessage as error:
        if error.partial is not None:
            error.partial.respond(error.status).to_bytes()
        return
    for read in VALUES:
        try:
            read(message)
        except MalformedMessage:
            continue
    wire = message.to_bytes()
    again = parse_message(wire)
    assert (again.keys, again.lines, again.body) == (
        message.keys if "content-length" in message.keys else [*message.keys, "content-length"],
        message.lines
        if "content-length" in message.keys
        else [*message.lines, f"Content-Length: {len(message.body)}"],
        message.body,
    )
    assert again.to_bytes() == wire
    if isinstance(message, Request):
        _answer(message)


def _answer(request: Request) -> None:
    """What a server does with every request: note its source, look for credentials, answer."""
    try:
        stamp_source(request, FLOW)
        response_flow(request, FLOW)
        read_credentials(request, True, "campus.example", ("MD5", "SHA-256"))
    except MalformedMessage:
        pass
    response = parse_message(request.respond(404, to_tag="t").to_bytes())
    assert isinstance(response, Response)
    assert response.call_id == request.call_id
    assert response.cseq_number == request.cseq_number
    assert response.rows("via") == request.rows("via")


def stream(data: bytes) -> None:
    """A stream: the same messages and the same failure, whole or cut to pieces."""
    step, data = (data[0] % 64) + 1 if data else 1, data[1:]
    whole = _framed([data])
    assert _framed([data[i : i + step] for i in range(0, len(data), step)]) == whole
    for piece in whole[0]:
        if piece is not PING:
            datagram(piece)


def _framed(pieces: list[bytes]) -> tuple[list[Any], str]:
    framer, out = StreamFramer(), []
    for piece in pieces:
        try:
            out += framer.feed(piece)
        except MalformedMessage:
            break
    failure = framer.failure
    return out, "" if failure is None else f"{failure.status} {failure.reason} {failure.header}"


def value(data: bytes) -> None:
    """One header value: what is read and printed reads the same."""
    text = data.decode("utf-8", "surrogateescape")
    for read in (_uri, _name_addr, _via, _list, parse_auth_params):
        try:
            read(text)
        except MalformedMessage:
            continue


def _uri(text: str) -> None:
    uri = parse_uri(text)
    assert uri.equals(uri)
    assert parse_uri(str(uri)).equals(uri)


def _name_addr(text: str) -> None:
    found = parse_name_addr(text)
    again = parse_name_addr(str(found))
    assert (again.uri_text, again.tag) == (found.uri_text, found.tag)


def _via(text: str) -> None:
    found = parse_via(text)
    if not all(map(is_token, found.params)):
        return  # let pass, and never printed but to whoever wrote it
    again = parse_via(str(found))
    assert (again.transport, again.sent_by, again.params) == (
        found.transport,
        found.sent_by,
        found.params,
    )


def _list(text: str) -> None:
    for separator in ",;":
        pieces = split_top(text, separator)
        assert split_top(separator.join(pieces), separator) == pieces


TARGETS = {"datagram": datagram, "stream": stream, "value": value}
