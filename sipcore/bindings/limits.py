"""What bounds the binding table and its flow tokens."""

from __future__ import annotations

from typing import Final

MAX_KEY_LENGTH: Final = 400
"""Longer contact keys are cut and end in a hash, so that a store can index them."""
DEFAULT_EXPIRE_LIMIT: Final = 500
"""lines: looked at for ended bindings in one sweep; what is left over waits for the next."""
MAX_LEFT_FLOWS: Final = 20_000
"""flows: remembered that phones have left; what they may be asked for is calls that go on."""
MAX_SILENT: Final = 10_000
"""devices: remembered that have answered nothing, the last ones."""
CALLS_TO_TELL: Final = 2
"""calls: in a row that a device answers nothing in, until it is said not to answer."""
MAX_FLOW_TOKEN_LENGTH: Final = 900
"""A longer flow token in a Path or Route is not decoded."""
