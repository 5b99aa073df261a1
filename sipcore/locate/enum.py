"""ENUM: from a telephone number to a SIP address by the DNS (RFC 6116, RFC 3402, RFC 3403)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from sipcore.locate.answers import Naptr
from sipcore.locate.limits import MAX_QUANTIFIERS, MAX_REGEXP, MAX_RULES
from sipcore.locate.ordering import by_order_and_preference

_NUMBER: Final = re.compile(r"\+[0-9]{5,15}")
_SERVICES: Final = frozenset({"e2u+sip", "sip+e2u"})
"""As RFC 3764 has it; the second one is of RFC 2916, and still found."""
_PIECE: Final = r"(?:\\[^0-9A-Za-z]|\[\^?[^\[\]\\^][^\[\]\\]*\]|[^\\\[\](){}*+?|^$])(?:[*+?]|\{\d{1,2}(?:,\d{0,2})?\})?"
_PATTERN: Final = re.compile(rf"\^?(?:{_PIECE}|\((?:{_PIECE})*\))*\$?")
"""What is taken of POSIX expressions: no group that repeats and no choice, so that nobody's zone can
have us look for ever. Each character can be read in one way here: this one looks at all of them."""
_QUANTIFIER: Final = re.compile(r"(?<!\\)[*+?{]")
_REFERENCE: Final = re.compile(r"\\(.)")


def is_full_number(text: str) -> bool:
    """Whether this is an international number, without what only helps the eye."""
    return _NUMBER.fullmatch(text) is not None


def domain_of_number(number: str, suffix: str) -> str:
    """Where the DNS knows of a full number (RFC 6116 §3.2): `4.3.2.1.6.4.e164.arpa` of +461234."""
    return ".".join([*reversed(number[1:]), suffix])


def address_of_number(number: str, records: Iterable[Naptr], *, secure: bool = False) -> str:
    """The SIP URI that the records have for a full number, "" for none.

    `secure`: it was asked for by a sips URI, and no other will do (RFC 5630 §5.3).
    """
    rules = [r for r in records if r.service.lower() in _SERVICES and r.flags.lower() == "u"]
    for record in by_order_and_preference(rules)[:MAX_RULES]:
        uri_text = _rewritten(number, record.regexp)
        scheme = uri_text.partition(":")[0].lower()
        if scheme == "sips" or (scheme == "sip" and not secure):
            return uri_text
    return ""


def _rewritten(number: str, regexp: str) -> str:
    """What a substitution expression (RFC 3402 §3.2) makes of the number; "" where it does not match."""
    parts = _parts(regexp) if len(regexp) <= MAX_REGEXP else None
    if parts is None:
        return ""
    pattern, replacement, flags = parts
    if not _PATTERN.fullmatch(pattern) or len(_QUANTIFIER.findall(pattern)) > MAX_QUANTIFIERS:
        return ""
    try:
        found = re.search(pattern, number, re.IGNORECASE if flags == "i" else 0)
        if found is None:
            return ""
        return _REFERENCE.sub(lambda m: _referred(m[1], found), replacement)
    except (re.error, IndexError, OverflowError):
        return ""


def _referred(char: str, found: re.Match[str]) -> str:
    return (found[int(char)] or "") if char in "123456789" else char


def _parts(regexp: str) -> tuple[str, str, str] | None:
    """Pattern, replacement and flags; the first character stands between them."""
    delimiter = regexp[:1]
    if not delimiter or delimiter in "123456789i\\":
        return None
    pieces = [""]
    escaped = False
    for char in regexp[1:]:
        if char == delimiter and not escaped:
            pieces.append("")
            continue
        if char == delimiter:
            pieces[-1] = pieces[-1][:-1]  # an escaped delimiter is that character
        pieces[-1] += char
        escaped = char == "\\" and not escaped
    if len(pieces) != 3 or pieces[2] not in ("", "i"):
        return None
    return pieces[0], pieces[1], pieces[2]
