"""`manage.py check`: whether the system grants the SIP server the receive buffers that it asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from django.core.checks import CheckMessage, Warning

from sipcore.node.limits import RECEIVE_BUFFER_BYTES

MOST: Final = Path("/proc/sys/net/core/rmem_max")
"""What Linux grants a socket at most."""


def check_receive_buffers(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Datagrams that find no room are lost before the server knows of them."""
    try:
        most = int(MOST.read_text())
    except (OSError, ValueError):
        return []  # another system
    if most >= RECEIVE_BUFFER_BYTES:
        return []
    return [
        Warning(
            f"The system grants {most} bytes for datagrams that wait, where the SIP server asks for "
            f"{RECEIVE_BUFFER_BYTES}: some are lost where many come at once.",
            hint=(
                f"As root: echo net.core.rmem_max={RECEIVE_BUFFER_BYTES} > /etc/sysctl.d/60-sip.conf, "
                "then sysctl --system, and start sipd again."
            ),
            id="bridge.W003",
        )
    ]
