"""Linphone, which takes the first of the algorithms it is offered: SHA-256 as others implement it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import linphone
from tests.support.calls import COMPLETED, expect_record
from tests.support.campus import Campus, wait_for
from tests.support.linphone import Linphone

pytestmark = [
    pytest.mark.peers,
    pytest.mark.interop,
    pytest.mark.skipif(
        not linphone.is_installed(),
        reason="linphone-daemon is not installed (Debian: linphone-cli); nothing else needs it",
    ),
]


def test_linphone_registers_with_sha_256_and_calls_echo(campus: Campus, tmp_path: Path) -> None:
    line = campus.line()
    server = f"127.0.0.1:{campus.sip_port}"
    with Linphone(tmp_path / "phone", line.username, line.secret, server) as phone:
        new = wait_for("its registration", lambda: of_line(campus, "register.new", line.id), 15)
        assert ";transport=udp" in new["contact"]
        phone.command(f"call {campus.uri('echo')}")
        phone.expect("LinphoneCallStreamsRunning")
        phone.command("terminate 1")
        phone.expect("LinphoneCallReleased")
        for method in ("REGISTER", "INVITE"):
            first, second, *_ = phone.credentials(method)
            assert first == ""
            assert "algorithm=SHA-256," in second
    call = next(r for r in campus.records() if r.get("caller_line") == line.id)
    expect_record(
        campus.record_of(call["call_id"]),
        cause="completed",
        ended_by="caller",
        dialled="echo",
        kinds=[kind for kind in COMPLETED if kind != "call.ring"],
    )
    gone = wait_for("its leaving", lambda: of_line(campus, "register.gone", line.id))
    assert gone["why"] == "phone"


def of_line(campus: Campus, kind: str, line_id: int) -> dict[str, str] | None:
    """The first record of a kind about a line."""
    found = (r for r in campus.records() if r["k"] == kind and r["line"] == line_id)
    return next(found, None)
