"""The named limits of parsing. Each is an error of its own when passed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final


@dataclass(slots=True, frozen=True)
class Limits:
    """How large a message may be. Sizes in bytes, lengths in characters."""

    message_bytes: int = 65_535
    header_block_bytes: int = 32_768
    header_rows: int = 256
    line_length: int = 8_192
    """Of a row as it is when it is unfolded."""
    folds: int = 256
    """Lines that go on with a row before them, of all rows together."""
    values_per_row: int = 1_024
    params_per_row: int = 1_024
    """Both count separators, quoted ones too: what bounds the work of who splits the row."""
    body_bytes: int = 65_535
    request_uri_length: int = 2_048
    least_per_row: int = field(init=False)
    """The least of those that hold for one row: a smaller header block keeps them all."""

    def __post_init__(self) -> None:
        least = min(self.line_length, self.values_per_row, self.params_per_row)
        object.__setattr__(self, "least_per_row", least)


DEFAULT_LIMITS: Final = Limits()
