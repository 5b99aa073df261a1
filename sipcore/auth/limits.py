"""What bounds authentication."""

from __future__ import annotations

from typing import Final

MAX_DEVICES: Final = 10
"""devices: of an account that can authenticate; each costs every verification a hash."""
DEFAULT_LIFETIME_S: Final = 300.0
"""How long a nonce is accepted; a worker's is `nonce_lifetime_s` of its configuration."""
DEFAULT_GENERATION_SIZE: Final = 65_536
"""nonces: counted per generation; two generations take about 20 MB when full."""
REORDER_WINDOW: Final = 32
"""requests: how far behind the highest nonce count one may arrive late (UDP reorders)."""
