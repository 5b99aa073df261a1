"""What a REGISTER asks for: its Contact values read and held against the policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sipcore.bindings import DEFAULT_Q
from sipcore.message import NameAddr, Request, Uri
from sipcore.message.grammar import BLANKS, split_top
from sipcore.message.uri import same_namespace
from sipcore.registrar.limits import MAX_INSTANCE_LENGTH, MAX_USER_AGENT_LENGTH
from sipcore.registrar.policy import RegistrarPolicy

MALFORMED_EXPIRES_S: Final = 3600
"""What an unreadable interval counts as (RFC 3261 §20.10)."""
BRIEF_ALLOWED_S: Final = 3600
"""Intervals from here on may never be called too brief (RFC 3261 §10.3 item 7)."""

_MAX_EXPIRES_S: Final = 2**32 - 1
_OWN_PARAMS: Final = frozenset({"expires", "q", "+sip.instance", "reg-id", "pub-gruu", "temp-gruu"})


@dataclass(slots=True)
class Wanted:
    """One Contact value of a REGISTER."""

    uri: Uri
    contact: str
    """The URI's text."""
    expires_s: int
    """As granted; 0 removes."""
    q: int
    instance: str
    reg_id: int
    """0 when there is none, or none that counts."""
    params: str


class TooBrief(ValueError):
    """A contact asks for less than the registrar grants (423)."""


def read_contact(
    value: NameAddr, header_expires: str | None, policy: RegistrarPolicy, *, outbound: bool
) -> Wanted:
    """A Contact value as a wish; `TooBrief` when its interval is refused.

    `outbound` tells whether outbound processing is applied; else reg-id is ignored.
    """
    params = value.params
    asked = params.get("expires", header_expires)
    expires_s = granted(asked, policy)
    if len(params) <= 1 and (not params or "expires" in params):  # most phones
        return Wanted(value.uri, value.uri_text, expires_s, DEFAULT_Q, "", 0, "")
    instance = read_instance(params)
    reg_id = read_reg_id(params) if outbound and instance else 0
    return Wanted(
        value.uri,
        value.uri_text,
        expires_s,
        read_q(params.get("q")),
        instance,
        reg_id,
        _other_params(value),
    )


def granted(asked: str | None, policy: RegistrarPolicy) -> int:
    """The interval granted for the one asked for (RFC 3261 §10.3 item 7), in seconds."""
    seconds = policy.default_expires_s if asked is None else read_seconds(asked)
    if seconds >= policy.max_expires_s:
        return policy.max_expires_s
    if 0 < seconds < min(policy.min_expires_s, BRIEF_ALLOWED_S):
        raise TooBrief
    return seconds


def read_seconds(text: str) -> int:
    """An interval, 3600 when it is not one (RFC 3261 §20.10)."""
    if not (text.isascii() and text.isdigit()):
        return MALFORMED_EXPIRES_S
    digits = text.lstrip("0") or "0"
    return int(digits) if len(digits) < 10 else _MAX_EXPIRES_S


def read_q(text: str | None) -> int:
    """A qvalue in thousandths; the default when it is missing or none (RFC 3261 §25.1)."""
    if text is None:
        return DEFAULT_Q
    whole, _, digits = text.partition(".")
    proper = whole in ("0", "1") and len(digits) <= 3 and (not digits or digits.isdecimal())
    if not proper or not text.isascii():
        return DEFAULT_Q
    return min(int(whole) * 1000 + int(digits.ljust(3, "0")), DEFAULT_Q)


def read_instance(params: Mapping[str, str | None]) -> str:
    """The value of +sip.instance without its quotes; empty when missing or unusable."""
    text = params.get("+sip.instance") or ""
    usable = len(text) <= MAX_INSTANCE_LENGTH and '"' not in text and "\\" not in text
    return same_namespace(text) if usable else ""


def read_reg_id(params: Mapping[str, str | None]) -> int:
    """The reg-id, 1 to 2^31 - 1; 0 when missing or improper (RFC 5626 §4.2)."""
    text = params.get("reg-id") or ""
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else 0
    return number if number < 2**31 else 0


def is_storable(text: str) -> bool:
    """Whether every store can keep this text: Unicode, without the NUL some databases refuse.

    Bytes that were no UTF-8 are lone surrogates here. One such text would fail the whole group
    of changes it is written with.
    """
    if text.isascii():
        return "\0" not in text
    return "\0" not in text and not any(0xD800 <= ord(char) <= 0xDFFF for char in text)


def read_user_agent(request: Request) -> str:
    """The User-Agent for display: bounded, what cannot be stored replaced."""
    text = (request.first("user-agent") or "")[:MAX_USER_AGENT_LENGTH]
    if is_storable(text):
        return text
    return text.encode("utf-8", "replace").decode().replace("\0", "?")


def is_first_hop(request: Request) -> bool:
    """Whether the request came straight from the user agent: one Via value."""
    rows = request.rows("via")
    return len(rows) == 1 and "," not in rows[0]


def _other_params(value: NameAddr) -> str:
    """The parameters that mean nothing to us, as they were written."""
    if _OWN_PARAMS.issuperset(value.params):
        return ""
    _, _, tail = str(value).partition(f"<{value.uri_text}>")
    pieces = [piece for piece in split_top(tail, ";") if piece]
    others = [p for p in pieces if p.partition("=")[0].strip(BLANKS).lower() not in _OWN_PARAMS]
    return "".join(f";{piece}" for piece in others)
