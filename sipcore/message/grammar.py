"""Pieces of the grammar shared by headers and URIs (RFC 3261 §25.1). No regex: all linear scans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sipcore.errors import MalformedMessage

TOKEN_CHARS: Final = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.!%*_+`'~"
)
_TOKEN_BYTES: Final = "".join(TOKEN_CHARS).encode()
_PLAIN: Final = TOKEN_CHARS | frozenset("[]:")
"""What a parameter value may hold without quotes: a token or a host (gen-value)."""
_RESERVED: Final = frozenset(";/?:@&=+$,%")
UINT32_MAX: Final = 0xFFFF_FFFF
BLANKS: Final = " \t"
"""White space in a row. What else Python would strip is part of a value: the next hop sees it."""


def ascii_upper(text: str) -> str:
    """The text in upper case where it is ASCII; other text as it is, lest a long s become an S."""
    return text.upper() if text.isascii() else text


def ascii_lower(text: str) -> str:
    """The text in lower case where it is ASCII; other text as it is."""
    return text.lower() if text.isascii() else text


def is_token(text: str) -> bool:
    """Whether the text is a non-empty token."""
    return text.isascii() and bool(text) and not text.encode().translate(None, _TOKEN_BYTES)


def parse_uint(text: str, header: str, maximum: int = UINT32_MAX) -> int:
    """A decimal number of ASCII digits, at most `maximum`."""
    text = text.strip(BLANKS)
    if not (text.isascii() and text.isdigit()):
        raise MalformedMessage("not a number", header=header)
    if len(text) > 20:
        text = text.lstrip("0") or "0"
        if len(text) > 20:
            raise MalformedMessage("number too large", header=header)
    value = int(text)
    if value > maximum:
        raise MalformedMessage("number too large", header=header)
    return value


def closing_quote(text: str, start: int) -> int:
    """Index of the quote that closes the one at `start`; -1 when it is never closed."""
    i = text.find('"', start + 1)
    while i > 0:
        backslashes = i - 1
        while backslashes > start and text[backslashes] == "\\":
            backslashes -= 1
        if (i - 1 - backslashes) % 2 == 0:
            return i
        i = text.find('"', i + 1)
    return -1


def split_top(text: str, separator: str, header: str = "") -> list[str]:
    """Split at separators that stand outside of quotes and angle brackets; pieces are stripped.

    Each of the three characters is looked for again only behind what was passed: linear, and the
    looking is done in C.
    """
    if '"' not in text and "<" not in text:
        return [piece.strip(BLANKS) for piece in text.split(separator)]
    never = len(text)
    quote_at, angle_at, at = (_find(text, char, 0) for char in ('"', "<", separator))
    pieces = []
    start = 0
    while (nearest := min(quote_at, angle_at, at)) < never:
        if nearest == at:
            pieces.append(text[start:at].strip(BLANKS))
            start = at + 1
            at = _find(text, separator, start)
            continue
        if nearest == quote_at:
            close = closing_quote(text, quote_at)
            if close < 0:
                raise MalformedMessage("quote never closed", header=header)
        else:
            close = text.find(">", angle_at)
            if close < 0:
                raise MalformedMessage("'<' never closed", header=header)
        if quote_at <= close:
            quote_at = _find(text, '"', close + 1)
        if angle_at <= close:
            angle_at = _find(text, "<", close + 1)
        if at <= close:
            at = _find(text, separator, close + 1)
    pieces.append(text[start:].strip(BLANKS))
    return pieces


def _find(text: str, char: str, start: int) -> int:
    """Where the character next stands; the length of the text when it does not."""
    found = text.find(char, start)
    return len(text) if found < 0 else found


def parse_params(text: str, header: str = "") -> dict[str, str | None]:
    """`a=b;c;d="e"` as a dictionary; names lower-case, quoted values without their quotes.

    Empty pieces are let pass; in a Via, whose parameters decide where an answer goes, only behind the
    last. The first of two equal names counts.
    """
    params: dict[str, str | None] = {}
    if not text:
        return params
    pieces = split_top(text, ";", header) if '"' in text or "<" in text else text.split(";")
    if len(pieces) > 1 and not pieces[-1].strip(BLANKS):
        pieces.pop()  # a semicolon at the end
    for piece in pieces:
        name, equals, value = piece.partition("=")
        name = name.strip(BLANKS).lower()
        if not name:
            if piece.strip(BLANKS) or header == "via":
                raise MalformedMessage("parameter without a name", header=header)
            continue
        if name in params:
            continue
        params[name] = unquote(value.strip(BLANKS)) if equals else None
    return params


def unquote(text: str) -> str:
    """The content of a quoted string, quoted pairs resolved; other text unchanged."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    inner = text[1:-1]
    if "\\" not in inner:
        return inner
    out = []
    i = 0
    while i < len(inner):
        if inner[i] == "\\" and i + 1 < len(inner):
            i += 1
        out.append(inner[i])
        i += 1
    return "".join(out)


def quote(text: str) -> str:
    """A quoted string (RFC 3261 §25.1)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def print_params(params: Mapping[str, str | None]) -> str:
    """Parameters as `;a=b;c`, values quoted where they must be; `parse_params` reads them back."""
    out = []
    for name, value in params.items():
        if value is None:
            out.append(f";{name}")
        else:
            out.append(f";{name}={value if _PLAIN.issuperset(value) else quote(value)}")
    return "".join(out)


def parse_auth_params(text: str) -> dict[str, str]:
    """The parameters of `Digest a="b", c=d`: names lower-case, quotes taken off.

    The scheme is under the key "" in lower case. Raises MalformedMessage on broken quotes.
    """
    text = text.strip(BLANKS)
    scheme = text.replace("\t", " ").partition(" ")[0]
    rest = text[len(scheme) :]
    params = {"": scheme.lower()}
    i, end = 0, len(rest)
    while i < end:
        equals = rest.find("=", i)
        if equals < 0:
            break
        name = rest[i:equals].strip(" \t,").lower()
        i = equals + 1
        while i < end and rest[i] in " \t":
            i += 1
        if i < end and rest[i] == '"':
            close = closing_quote(rest, i)
            if close < 0:
                raise MalformedMessage("quote never closed", header="authorization")
            value = unquote(rest[i : close + 1])
            comma = rest.find(",", close)
            i = end if comma < 0 else comma + 1
        else:
            comma = rest.find(",", i)
            comma = end if comma < 0 else comma
            value = rest[i:comma].strip(BLANKS)
            i = comma + 1
        params.setdefault(name, value)
    return params


_HEX: Final = "0123456789abcdefABCDEF"


def unescape(text: str) -> str:
    """%HH decoded once; broken escapes stay as they are (RFC 3261 §19.1.2)."""
    if "%" not in text:
        return text
    raw = text.encode("utf-8", "surrogateescape")
    head, *rest = raw.split(b"%")
    out = [head]
    for piece in rest:
        digits = piece[:2].decode("latin-1")
        if len(digits) == 2 and digits[0] in _HEX and digits[1] in _HEX:
            out.append(bytes((int(digits, 16),)) + piece[2:])
        else:
            out.append(b"%" + piece)
    return b"".join(out).decode("utf-8", "surrogateescape")


def uniform_escapes(text: str) -> str:
    """Text that is the same for equivalent escapes (RFC 3261 §19.1.4).

    Only characters that are not reserved equal their escapes: `%61` is `a`, but `%3B` is not `;`.
    """
    if "%" not in text:
        return text
    first, *rest = text.split("%")
    out = [first]
    for piece in rest:
        digits = piece[:2]
        if len(digits) < 2 or digits[0] not in _HEX or digits[1] not in _HEX:
            out.append("%" + piece)
            continue
        char = chr(int(digits, 16))
        keep = char in _RESERVED or not "!" <= char <= "~"
        out.append((f"%{digits.upper()}" if keep else char) + piece[2:])
    return "".join(out)
