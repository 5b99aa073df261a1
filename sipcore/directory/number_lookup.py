"""Where the DNS is asked for telephone numbers that nobody here has (ENUM, RFC 6116)."""

from __future__ import annotations

from collections.abc import Iterable

from sipcore.directory.part import Delta, Part


class NumberLookup(Part[str, str]):
    """The domain below which numbers are, `e164.arpa`; "": they are not looked up."""

    __slots__ = ("suffix",)

    def __init__(self, suffixes: Iterable[str] = ()) -> None:
        """One domain in lower case, or none; the first one counts."""
        self.suffix: str = next(iter(suffixes), "")

    def changed(self, delta: Delta[str, str]) -> NumberLookup:
        kept = [self.suffix] if self.suffix and self.suffix not in delta.removed else []
        return NumberLookup([*delta.put, *kept])


__all__ = ["NumberLookup"]
