"""What bounds parsing. Each field of `Limits` is an error of its own when passed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

CACHED_LENGTH: Final = 300
"""Longer values are parsed anew each time, lest a flood of them fill the memory."""
MAX_REMEMBERED: Final = 4096
"""names: spellings of header names that are kept, usual ones included."""


@dataclass(slots=True, frozen=True)
class Limits:
    """How large a message may be. Sizes in bytes, lengths in characters."""

    message_bytes: int = 65_535
    """A whole message: what one datagram can carry."""
    header_block_bytes: int = 32_768
    """Start line and rows."""
    header_rows: int = 256
    """rows: of one message."""
    line_length: int = 8_192
    """A row as it is when it is unfolded."""
    folds: int = 256
    """lines: that go on with a row before them, of all rows together."""
    values_per_row: int = 1_024
    """commas: quoted ones too; what bounds the work of whoever splits the row."""
    params_per_row: int = 1_024
    """semicolons: quoted ones too; what bounds the work of whoever splits the row."""
    body_bytes: int = 65_535
    """A body, by its Content-Length."""
    request_uri_length: int = 2_048
    """A longer Request-URI is answered 414."""
    least_per_row: int = field(init=False)
    """The least of those that hold for one row: a smaller header block keeps them all."""

    def __post_init__(self) -> None:
        least = min(self.line_length, self.values_per_row, self.params_per_row)
        object.__setattr__(self, "least_per_row", least)


DEFAULT_LIMITS: Final = Limits()
