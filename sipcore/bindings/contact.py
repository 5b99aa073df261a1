"""Contacts compared (RFC 3261 §19.1.4) and named within their line."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

from sipcore.bindings.binding import Binding
from sipcore.bindings.limits import MAX_KEY_LENGTH
from sipcore.errors import MalformedMessage
from sipcore.message import Uri, parse_uri

_RESERVED: Final = frozenset(";/?:@&=+$,%")


def contact_key(uri: Uri) -> str:
    """A text that is the same only for equal URIs: escapes, case and order made uniform.

    Equal URIs may still have different keys, since a parameter that only one of them has is
    ignored in comparison: `equal_contacts` compares as the RFC does.
    """
    key = uri.text if uri.scheme not in ("sip", "sips") else _canonical(uri)
    if len(key) <= MAX_KEY_LENGTH:
        return key
    digest = blake2b(key.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    return f"{key[: MAX_KEY_LENGTH - 33]}#{digest}"


def _canonical(uri: Uri) -> str:
    parts = [uri.scheme, ":"]
    if uri.user:
        parts.append(_uniform(uri.user))
        if uri.password:
            parts += (":", _uniform(uri.password))
        parts.append("@")
    parts.append(uri.host)
    if uri.port is not None:
        parts.append(f":{uri.port}")
    for name in sorted(uri.params):
        value = uri.params[name]
        parts.append(f";{name}" if value is None else f";{name}={_uniform(value).lower()}")
    if uri.headers:
        parts += ("?", "&".join(sorted(_uniform(h) for h in uri.headers.split("&"))))
    return "".join(parts)


def outbound_key(instance: str, reg_id: int) -> str:
    """The key of an outbound binding: its identity is instance and flow, not the contact's URI."""
    return f"{instance};reg-id={reg_id}"


def another_key(key: str, told_apart_by: str) -> str:
    """The key of another phone whose contact has this key: two homes with the same addresses."""
    digest = blake2b(told_apart_by.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    return f"{key[: MAX_KEY_LENGTH - 33]}#{digest}"


def equal_contacts(bindings: Iterable[Binding], uri: Uri, key: str) -> list[Binding]:
    """The bindings whose contact equals this URI, outbound ones apart (RFC 5626 §6).

    One of an identical key comes first; equality is not transitive, so others may equal it, too.
    """
    equal: list[Binding] = []
    for binding in bindings:
        if binding.key == key:
            equal.insert(0, binding)
        elif not binding.reg_id and _equals(uri, binding.contact):
            equal.append(binding)
    return equal


def _equals(uri: Uri, contact: str) -> bool:
    try:
        return uri.equals(parse_uri(contact))
    except MalformedMessage:
        return False


def _uniform(text: str) -> str:
    """The text with escapes resolved except those of reserved characters (RFC 2396 §2.2)."""
    if "%" not in text:
        return text
    first, *rest = text.split("%")
    parts = [first]
    for chunk in rest:
        try:
            char = chr(int(chunk[:2], 16))
        except ValueError:
            parts.append("%" + chunk)
            continue
        keep = char in _RESERVED or not "!" <= char <= "~"
        parts.append("%" + chunk[:2].upper() + chunk[2:] if keep else char + chunk[2:])
    return "".join(parts)
