"""The named limits of parsing. Each is an error of its own when passed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class Limits:
    """How large a message may be. Sizes in bytes, lengths in characters."""

    message_bytes: int = 65_535
    header_block_bytes: int = 32_768
    header_rows: int = 256
    line_length: int = 8_192
    values_per_row: int = 256
    params_per_row: int = 256
    """Both count separators, quoted ones too: what bounds the work of who splits the row."""
    body_bytes: int = 65_535
    request_uri_length: int = 2_048


DEFAULT_LIMITS = Limits()
