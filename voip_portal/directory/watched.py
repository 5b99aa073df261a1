"""A table whose rows are watched: what feeds the directory and the audit.

`columns` are written into `changes` rows as they were before and after. A change of a `secret`
column writes a row too, which says that the secret changed and nothing more: HA1 equals a password.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Watched:
    """One table whose rows are watched. Its primary key is `id`."""

    table: str
    columns: tuple[str, ...]
    secret: tuple[str, ...] = ()
    booleans: frozenset[str] = frozenset()
    """Columns that SQLite keeps as 0 and 1."""
    times: frozenset[str] = frozenset()
    """Columns that hold a moment: UTC in the rows, the reader's zone where they are shown."""
