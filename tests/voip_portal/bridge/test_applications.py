"""VOIP_APPLICATIONS: what can be loaded is, what cannot is said at the start."""

from __future__ import annotations

import pytest

from sipcore.apps.callback import Callback
from voip_portal.bridge.sipd import application


def test_a_service_is_found_by_its_name() -> None:
    assert application("sipcore.apps.callback:Callback") is Callback


@pytest.mark.parametrize(
    "name",
    [
        "echo",
        "no.such.module:Echo",
        "sipcore.apps.echo:Nothing",
        "sipcore.apps.echo:IncomingCall",
        "sipcore.apps.sdp:HOLD",
        ":",
        "",
    ],
)
def test_what_is_no_service_is_named(name: str) -> None:
    with pytest.raises(SystemExit, match="VOIP_APPLICATIONS") as said:
        application(name)
    assert repr(name) in str(said.value)
