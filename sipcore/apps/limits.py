"""What bounds a service; what a worker is given at start is in `config.py`."""

from __future__ import annotations

from typing import Final

MAX_MESSAGE_BYTES: Final = 1_300
"""The largest MESSAGE that may go where congestion is not controlled (RFC 3428 §8)."""
ADDED_BYTES: Final = 300
"""What our proxy adds to a MESSAGE of a service: two Vias, Max-Breadth, another Request-URI."""
MAX_UNANSWERED: Final = 1_000
"""messages: of a service on their way at a time."""
UNANSWERED_S: Final = 40.0
"""A message of which nothing is heard for so long is not on its way any more (timer F)."""
