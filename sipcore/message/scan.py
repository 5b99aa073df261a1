"""Bytes to messages: one scan to header rows (RFC 3261 §7), checks of what routing needs."""

from __future__ import annotations

from sipcore.errors import LimitExceeded, MalformedMessage
from sipcore.message.grammar import UINT32_MAX, is_token
from sipcore.message.limits import DEFAULT_LIMITS, Limits
from sipcore.message.message import Request, Response
from sipcore.message.names import canonical

_ONCE = ("from", "to", "call-id", "cseq")
_METHODS = frozenset({"INVITE", "ACK", "BYE", "CANCEL", "REGISTER", "OPTIONS", "MESSAGE"})
"""Known to be tokens."""


def parse_message(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Request | Response:
    """Parse one datagram or one framed message.

    Bytes beyond Content-Length are dropped; a body that is too short is an error (§18.3). Raises
    MalformedMessage, whose `partial` is set when a response can still be built.
    """
    if len(data) > limits.message_bytes:
        raise LimitExceeded("message_bytes", limits.message_bytes, len(data), status=513)
    if data[:1] in (b"\r", b"\n"):
        data = data.lstrip(b"\r\n")
    end = data.find(b"\r\n\r\n")
    if end < 0:
        raise MalformedMessage("no empty line after the header")
    if end > limits.header_block_bytes:
        raise LimitExceeded("header_block_bytes", limits.header_block_bytes, end, status=513)
    text = data[:end].decode("utf-8", "surrogateescape")
    body = data[end + 4 :]
    if "\r\n " in text or "\r\n\t" in text:
        text = _unfold(text)
    lines = text.split("\r\n")
    message = _start_line(lines.pop(0), lines, body)
    try:
        _check(message, limits, end)
    except MalformedMessage as error:
        error.partial = _partial(message)
        raise
    return message


def _unfold(text: str) -> str:
    """A row that goes on in the next line is one row with a single space (§7.3.1)."""
    lines: list[str] = []
    for line in text.split("\r\n"):
        if line[:1] in (" ", "\t") and lines:
            lines[-1] = f"{lines[-1].rstrip()} {line.strip()}"
        else:
            lines.append(line)
    return "\r\n".join(lines)


def _start_line(line: str, lines: list[str], body: bytes) -> Request | Response:
    if line[:8] == "SIP/2.0 " or line[:4].upper() == "SIP/":
        return _status_line(line, lines, body)
    keys = _keys(lines)
    pieces = line.split(" ")
    if len(pieces) == 3 and pieces[2] == "SIP/2.0" and pieces[1]:
        method = pieces[0]
        if method in _METHODS or is_token(method):
            return Request(method, pieces[1], keys, lines, body)
    method, _, rest = line.partition(" ")
    uri_text, _, version = rest.rpartition(" ")
    status, reason = 400, "Bad Request-Line"
    if version.upper().startswith("SIP/") and version.upper() != "SIP/2.0":
        status, reason = 505, "Version Not Supported"
    elif version.upper() == "SIP/2.0" and is_token(method) and uri_text and " " not in uri_text:
        return Request(method, uri_text, keys, lines, body)
    partial = Request(method or "UNKNOWN", uri_text or "sip:invalid", keys, lines, b"")
    raise MalformedMessage(reason, status=status, partial=_partial(partial))


def _status_line(line: str, lines: list[str], body: bytes) -> Response:
    version, _, rest = line.partition(" ")
    code, _, reason = rest.partition(" ")
    if version.upper() != "SIP/2.0":
        raise MalformedMessage("version not supported", status=505)
    if len(code) != 3 or not (code.isascii() and code.isdigit()) or not 100 <= int(code) <= 699:
        raise MalformedMessage("status code outside 100-699")
    return Response(int(code), reason, _keys(lines), lines, body)


def _keys(lines: list[str]) -> list[str]:
    """The canonical name of each row; a row without a name gets the key ""."""
    names = canonical
    return [names[line.partition(":")[0]] if ":" in line else "" for line in lines]


def _check(message: Request | Response, limits: Limits, header_bytes: int) -> None:
    keys, lines = message.keys, message.lines
    if len(keys) > limits.header_rows:
        raise LimitExceeded("header_rows", limits.header_rows, len(keys), status=513)
    if header_bytes > limits.line_length:  # else no line can be too long
        longest = max(map(len, lines), default=0)
        if longest > limits.line_length:
            raise LimitExceeded("line_length", limits.line_length, longest, status=513)
    if "" in keys:
        raise MalformedMessage("row without a header name")
    for name in _ONCE:
        count = keys.count(name)
        if count != 1:
            raise MalformedMessage("missing" if count == 0 else "more than once", header=name)
    if "via" not in keys:
        raise MalformedMessage("missing", header="via")
    _check_body(message, limits)
    number_method = message.cseq_method
    if isinstance(message, Request):
        if len(message.uri_text) > limits.request_uri_length:
            length = len(message.uri_text)
            raise LimitExceeded(
                "request_uri_length", limits.request_uri_length, length, status=414
            )
        if number_method != message.method:
            raise MalformedMessage("method differs from the request's", header="cseq")
        message.via  # noqa: B018 (parsed now: without a Via nothing can be answered)
        message.to_tag  # noqa: B018


def _check_body(message: Request | Response, limits: Limits) -> None:
    size = len(message.body)
    if size > limits.body_bytes:
        raise LimitExceeded("body_bytes", limits.body_bytes, size, status=413)
    keys = message.keys
    if "content-length" not in keys:
        return
    row = message.lines[keys.index("content-length")].partition(":")[2].strip()
    if not (row.isascii() and row.isdigit()) or len(row) > 10 or (length := int(row)) > UINT32_MAX:
        raise MalformedMessage("not a number", header="content-length")
    if keys.count("content-length") > 1 and len(set(message.rows("content-length"))) > 1:
        raise MalformedMessage("given twice", header="content-length")
    if length != size:
        if length > size:
            raise MalformedMessage("body shorter than announced", header="content-length")
        message.body = message.body[:length]


def _partial(message: Request | Response) -> Request | None:
    """The request, when a response to it has a Via to carry."""
    return message if isinstance(message, Request) and "via" in message.keys else None
