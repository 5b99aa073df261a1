"""What bounds the event log."""

from __future__ import annotations

from typing import Final

INTERVAL_S: Final = 60.0
"""How often what was counted becomes a record."""
