"""What a request is answered while this server stops (RFC 3261 §21.5.4)."""

from __future__ import annotations

from typing import Final

from sipcore.proxy.limits import RETRY_AFTER_STOP_S

STOPPING_REASON: Final = 'SIP;cause=503;text="The server is being restarted"'


def come_again(status: int) -> list[tuple[str, str]]:
    """Retry-After, for a 503: when the next one of us should be there."""
    return [("Retry-After", str(RETRY_AFTER_STOP_S))] if status == 503 else []
