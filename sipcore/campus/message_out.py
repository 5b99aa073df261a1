"""A MESSAGE of a line to a foreign domain: who has taken one may write back in a flood."""

from __future__ import annotations

from sipcore.message import Response
from sipcore.perimeter.talked import Talked
from sipcore.proxy import Purpose
from sipcore.routing import Target
from sipcore.transport.flow import Flow
from sipcore.transport.networks import network_of


class MessageOut(Purpose):
    """It is forwarded like all others; a 2xx makes its network known to the line."""

    __slots__ = ("_line_id", "_talked")

    def __init__(self, line_id: int, talked: Talked) -> None:
        self._line_id = line_id
        self._talked = talked

    def may_pass(
        self, target: Target, flow: Flow | None, response: Response, cancelled: bool, now: float
    ) -> bool:
        """Every response passes."""
        if flow is not None and 200 <= response.status < 300:
            self._talked.add(self._line_id, network_of(flow.remote[0]))
        return True


__all__ = ["MessageOut"]
