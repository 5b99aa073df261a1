"""Click to dial with two ordinary softphones: both ring, and hear each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support import baresip
from tests.support.baresip import Baresip
from tests.support.campus import Campus, wait_for

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(not baresip.is_installed(), reason="needs baresip"),
]

APPLICATIONS = "sipcore.apps.echo:Echo,sipcore.apps.callback:Callback"


@pytest.fixture(scope="module")
def campus(prepared: Campus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campus]:
    settings = {"VOIP_APPLICATIONS": APPLICATIONS, "VOIP_PROBE_S": "0.4"}
    with prepared.copy(tmp_path_factory.mktemp("callback"), settings).start_sipd() as campus:
        yield campus


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_click_connects_two_softphones_which_are_asked_and_hang_up(
    campus: Campus, tmp_path: Path, transport: str
) -> None:
    server = f"127.0.0.1:{campus.sip_port}"
    lines = campus.line(), campus.line()
    with ExitStack() as stack:
        hers, his = [
            stack.enter_context(
                Baresip(
                    tmp_path / line.username,
                    line.username,
                    line.secret,
                    server,
                    transport=transport,
                    answers=True,
                )
            )
            for line in lines
        ]
        for phone in (hers, his):
            phone.wait_until_registered()
        browser = stack.enter_context(campus.phone(lines[0]))  # somebody clicks
        click = browser.request(
            "MESSAGE",
            campus.uri("callback"),
            headers=[("Content-Type", "text/plain")],
            body=lines[1].number.encode(),
        )
        assert browser.transact(click).status == 200
        for phone in (hers, his):
            phone.expect("CALL_ESTABLISHED")
        wait_for("a second of sound both ways", lambda: min(hers.heard(), his.heard()) > 4000)
        wait_for("a probe of each", lambda: all("OPTIONS sip:" in p.log() for p in (hers, his)))
        his.command("hangup")  # the tone is over soon: she may have hung up by then
        hers.expect("CALL_CLOSED")
    begun = {
        (r["caller_line"], r["callee_line"]): r["call_id"]
        for r in campus.records()
        if r["k"] == "call.begin"
    }
    first = campus.record_of(begun[None, lines[0].id])
    second = campus.record_of(begun[lines[0].id, lines[1].id])
    assert (first["cause"], second["cause"]) == ("completed", "completed")
    assert second["duration_s"] > 0.3
