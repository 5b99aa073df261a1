"""Header names: compact forms, spelling, and which headers are comma-separated lists."""

from __future__ import annotations

COMPACT = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "n": "identity-info",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}

UNSPLIT = frozenset(
    {"www-authenticate", "authorization", "proxy-authenticate", "proxy-authorization"}
)
"""Lists that never join on commas (RFC 3261 §7.3.1)."""


class _Canonical(dict[str, str]):
    """Name as received → lower-case long name; remembers spellings seen, up to a bound."""

    MAX = 4096

    def __missing__(self, name: str) -> str:
        key = name.strip().lower()
        key = COMPACT.get(key, key)
        if len(self) < self.MAX and len(name) <= 40:
            self[name] = key
        return key


canonical = _Canonical()
