"""Ordinary phones that watch one another: news reach a phone on a connection that it has opened."""

from __future__ import annotations

import pytest

from tests.support import pjsua, presence
from tests.support.campus import Campus

pytestmark = [
    pytest.mark.peers,
    pytest.mark.interop,
    pytest.mark.skipif(not pjsua.is_installed(), reason="pjsua2 has no wheel for this Python"),
]


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_a_phone_sees_another_one_come_and_go(campus: Campus, transport: str) -> None:
    first, second = campus.line(), campus.line()
    port = campus.tls_port if transport == "tls" else campus.sip_port
    servers = ("127.0.0.1", port), ("127.0.0.1", campus.sip_port)
    said = presence.watch(
        transport,
        servers,
        (first.username, first.secret),
        (second.username, second.secret),
        campus.authority,
    )
    assert set(said["registered"].values()) == {200}, said
    seen = [status for status in said["statuses"] if status in ("Online", "Offline")]
    assert seen[:2] == ["Online", "Offline"], said
    assert not [r for r in campus.records() if r.get("caller_line") == first.id]
