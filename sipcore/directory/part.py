"""What every part of the directory is: an immutable value, of which a change makes the next one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

Key = TypeVar("Key")
"""What names a row of a part: an account's id, a domain."""
Row = TypeVar("Row")


class Delta(Generic[Key, Row]):
    """What is different in one part: rows that are taken out, then rows that are put in."""

    __slots__ = ("put", "removed")

    def __init__(self, removed: Iterable[Key] = (), put: Iterable[Row] = ()) -> None:
        """`removed` may name rows that are not there, and rows that `put` has anew."""
        self.removed = tuple(removed)
        self.put = tuple(put)


class Part(Generic[Key, Row]):
    """One part of the directory. Made without arguments it is empty."""

    def changed(self, delta: Delta[Key, Row]) -> Part[Key, Row]:
        """The part with these rows taken out and put in; this one stays as it is."""
        raise NotImplementedError


__all__ = ["Delta", "Key", "Part", "Row"]
