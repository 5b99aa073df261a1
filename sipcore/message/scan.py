"""Bytes to messages: one scan to header rows (RFC 3261 §7), checks of what routing needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sipcore.errors import Answerable, LimitExceeded, MalformedMessage
from sipcore.message.grammar import BLANKS, ascii_upper, is_token
from sipcore.message.limits import DEFAULT_LIMITS, Limits
from sipcore.message.names import canonical, spellings
from sipcore.message.request import Request
from sipcore.message.response import Response

_ONCE: Final = ("from", "to", "call-id", "cseq")
_MANDATORY: Final = (*_ONCE, "via")
_METHODS: Final = frozenset({"INVITE", "ACK", "BYE", "CANCEL", "REGISTER", "OPTIONS", "MESSAGE"})
"""Known to be tokens."""
_Rows = tuple[int, str, list[str], list[str], dict[str, str]]
"""Where the header ends, start line, canonical names, whole rows, and the first row of each name."""


def _plain_splitter() -> Callable[[bytes, int], _Rows | None] | None:
    """What finds the rows of plain messages in a fraction of the time; None for sipcore as source."""
    try:
        from sipcore.message import _rows
    except ImportError:
        return None
    _rows.learn(spellings)
    return _rows.split


_split_plain: Final = _plain_splitter()


def parse_message(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Request | Response:
    """Parse one datagram or one framed message.

    Bytes beyond Content-Length are dropped; a body that is too short is an error (§18.3). Raises
    MalformedMessage, whose `partial` is set when a response can still be built.
    """
    if len(data) > limits.message_bytes:
        size, partial = len(data), scan_partial(data, limits)
        raise LimitExceeded(
            "message_bytes", limits.message_bytes, size, status=513, partial=partial
        )
    if data[:1] in (b"\r", b"\n"):
        data = data.lstrip(b"\r\n")
    folds = 0
    plain = None if _split_plain is None else _split_plain(data, limits.header_block_bytes)
    if plain is not None:
        end, start, keys, lines, tops = plain
    else:
        end = data.find(b"\r\n\r\n")
        if end < 0:
            raise MalformedMessage("no empty line after the header")
        if end > limits.header_block_bytes:
            raise LimitExceeded("header_block_bytes", limits.header_block_bytes, end, status=513)
        text = data[:end].decode("utf-8", "surrogateescape")
        lines = text.split("\r\n")
        start = lines.pop(0)
        rows = "".join(lines)
        if "\n" in rows or "\r" in rows or "\n" in start or "\r" in start:
            # Some take a bare CR or LF for the end of a row, and would see rows that we do not.
            raise MalformedMessage("CR or LF by itself in the header")
        keys, tops = _keys(lines)
        if "" in tops and ("\r\n " in text or "\r\n\t" in text):
            folds = len(lines)
            lines = _unfold(lines)
            folds -= len(lines)
            keys, tops = _keys(lines)
    message = _start_line(start, keys, lines, data[end + 4 :], tops)
    try:
        if folds > limits.folds:
            raise LimitExceeded("folds", limits.folds, folds, status=513)
        _check(message, tops, limits, end)
    except MalformedMessage as error:
        error.partial = _partial(message)
        raise
    return message


def _unfold(lines: list[str]) -> list[str]:
    """A row that goes on in the next line is one row with a single space (§7.3.1).

    The start line cannot be folded (§7.1): what goes on from it is a row without a name.
    """
    rows = [[line] for line in lines[:1]]
    for line in lines[1:]:
        if line[:1] in (" ", "\t"):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [row[0] if len(row) == 1 else _joined(row) for row in rows]


def _joined(row: list[str]) -> str:
    first, *rest = row
    pieces = [first.rstrip(BLANKS), *(line.strip(BLANKS) for line in rest)]
    return " ".join(filter(None, pieces))


def _start_line(
    line: str, keys: list[str], lines: list[str], body: bytes, tops: dict[str, str]
) -> Request | Response:
    pieces = line.split(" ", 3)
    if len(pieces) == 3 and pieces[2] == "SIP/2.0" and pieces[1]:
        method = pieces[0]
        if method in _METHODS or is_token(method):
            return Request(method, pieces[1], keys, lines, body, tops)
    if ascii_upper(line[:4]) == "SIP/":
        return _status_line(line, keys, lines, body, tops)
    method, _, rest = line.partition(" ")
    uri_text, _, version = rest.rpartition(" ")
    status, reason = 400, "Bad Request-Line"
    version = ascii_upper(version)
    if version.startswith("SIP/") and version != "SIP/2.0":
        status, reason = 505, "Version Not Supported"
    elif version == "SIP/2.0" and is_token(method) and uri_text and " " not in uri_text:
        return Request(method, uri_text, keys, lines, body, tops)
    partial = Request(method or "UNKNOWN", uri_text or "sip:invalid", keys, lines, b"")
    raise MalformedMessage(reason, status=status, partial=_partial(partial))


def _status_line(
    line: str, keys: list[str], lines: list[str], body: bytes, tops: dict[str, str]
) -> Response:
    version, _, rest = line.partition(" ")
    code, _, reason = rest.partition(" ")
    if version != "SIP/2.0" and ascii_upper(version) != "SIP/2.0":
        raise MalformedMessage("version not supported", status=505)
    if len(code) != 3 or not (code.isascii() and code.isdigit()) or not 100 <= int(code) <= 699:
        raise MalformedMessage("status code outside 100-699")
    return Response(int(code), reason, keys, lines, body, tops)


def _keys(lines: list[str]) -> tuple[list[str], dict[str, str]]:
    """The canonical name of each row, "" for one without a name; the first row of each name."""
    keys: list[str] = []
    tops: dict[str, str] = {}
    for line in lines:
        name, colon, _ = line.partition(":")
        try:
            key = spellings[name] if colon else ""
        except KeyError:
            key = canonical(name)
        keys.append(key)
        if key not in tops:
            tops[key] = line
    return keys, tops


def _check(
    message: Request | Response, tops: dict[str, str], limits: Limits, header_bytes: int
) -> None:
    """Hold the message to the limits and to what routing needs; keep the values read for that."""
    count = len(message.keys)
    if count > limits.header_rows:
        raise LimitExceeded("header_rows", limits.header_rows, count, status=513)
    if header_bytes > limits.least_per_row:
        _check_rows(message.lines, limits)
    if "" in tops:
        raise MalformedMessage("row without a header name")
    if len(tops) != count and count - len(tops) != message.keys.count("via") - 1:
        _check_repeated(message)
    for name in _MANDATORY:
        if name not in tops:
            raise MalformedMessage("missing", header=name)
    size = len(message.body)
    if size > limits.body_bytes:
        raise LimitExceeded("body_bytes", limits.body_bytes, size, status=413)
    if "content-length" in tops:
        _cut_body(message, _value(tops["content-length"]).strip(BLANKS), size)
    cseq_method = message.read_cseq(_value(tops["cseq"]))
    if isinstance(message, Request):
        message.via  # noqa: B018 (parsed now: without a Via nothing can be answered)
        length = len(message.uri_text)
        if length > limits.request_uri_length:
            limit = limits.request_uri_length
            raise LimitExceeded("request_uri_length", limit, length, status=414)
        if cseq_method != message.method:
            raise MalformedMessage("method differs from the request's", header="cseq")
        message.to_tag  # noqa: B018


def _value(line: str) -> str:
    return line[line.find(":") + 1 :]


def _check_rows(lines: list[str], limits: Limits) -> None:
    """Bound the length of each row, and the pieces that it can be split into."""
    longest = max(map(len, lines), default=0)
    if longest > limits.line_length:
        raise LimitExceeded("line_length", limits.line_length, longest, status=513)
    for limit, value, separator in (
        ("values_per_row", limits.values_per_row, ","),
        ("params_per_row", limits.params_per_row, ";"),
    ):
        if longest > value and (most := max(line.count(separator) for line in lines)) > value:
            raise LimitExceeded(limit, value, most)


def _check_repeated(message: Request | Response) -> None:
    """Refuse a second row of what may stand once; Content-Length may repeat itself."""
    keys = message.keys
    for name in _ONCE:
        if keys.count(name) > 1:
            raise MalformedMessage("more than once", header=name)
    if len(set(message.rows("content-length"))) > 1:
        raise MalformedMessage("given twice", header="content-length")


def _cut_body(message: Request | Response, text: str, size: int) -> None:
    """Bytes beyond Content-Length are no part of the message; too few make it none."""
    if len(text) > 10 or not (text.isascii() and text.isdigit()):
        raise MalformedMessage("not a number", header="content-length")
    length = int(text)
    if length > size:
        raise MalformedMessage("body shorter than announced", header="content-length")
    if length < size:
        message.body = message.body[:length]


def _partial(message: Request | Response) -> Request | None:
    """The request without body, when a response to it has a Via to carry."""
    if not isinstance(message, Request) or "via" not in message.keys:
        return None
    keys, lines = [], []
    seen: set[str] = set()
    for key, line in zip(message.keys, message.lines, strict=True):
        if key not in seen:
            keys.append(key)
            lines.append(line)
            if key in _ONCE:
                seen.add(key)
    return Request(message.method, message.uri_text, keys, lines)


def scan_partial(data: bytes | bytearray, limits: Limits = DEFAULT_LIMITS) -> Answerable | None:
    """As much of a request as a response needs, of a message that cannot be taken as a whole."""
    end = data.find(b"\r\n\r\n", 0, limits.header_block_bytes + 4)
    head = bytes(data[: end + 4]) if end >= 0 else b""
    try:
        message = parse_message(head, Limits(message_bytes=len(head)))
    except MalformedMessage as error:
        return error.partial
    return _partial(message)
