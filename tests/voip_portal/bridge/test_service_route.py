"""What an operator may write of the route that phones are told."""

from __future__ import annotations

import pytest
from django.core.management.base import CommandError

from voip_portal.bridge.management.commands.sipd import service_route


def test_a_service_route_needs_lr() -> None:
    assert service_route(["sip:sip.example.org;lr"]) == ["<sip:sip.example.org;lr>"]
    with pytest.raises(CommandError, match="VOIP_SERVICE_ROUTE"):
        service_route(["sip:sip.example.org"])
