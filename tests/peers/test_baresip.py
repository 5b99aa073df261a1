"""Two ordinary softphones: they register, talk with real audio, and hang up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support import baresip
from tests.support.baresip import Baresip
from tests.support.calls import COMPLETED, expect_record
from tests.support.campus import Campus, Line, wait_for

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(not baresip.is_installed(), reason="needs baresip"),
]

Pair = tuple[Baresip, Baresip, Line, Line]


@pytest.fixture(params=["udp", "tcp"])
def softphones(campus: Campus, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Pair]:
    server = f"127.0.0.1:{campus.sip_port}"
    first, second = campus.line(), campus.line()
    with ExitStack() as stack:
        phones = [
            stack.enter_context(
                Baresip(
                    tmp_path / line.username,
                    line.username,
                    line.secret,
                    server,
                    transport=request.param,
                    answers=line is second,
                )
            )
            for line in (first, second)
        ]
        for each in phones:
            each.wait_until_registered()
        yield phones[0], phones[1], first, second


def test_softphones_talk_and_hang_up(campus: Campus, softphones: Pair) -> None:
    caller, callee, first, second = softphones
    caller.dial(campus.uri(second.number))
    caller.expect("CALL_ESTABLISHED")
    callee.expect("CALL_ESTABLISHED")
    for each in (caller, callee):
        each.expect("CALL_RTPESTAB")
    wait_for("a second of sound both ways", lambda: min(caller.heard(), callee.heard()) > 4000)
    caller.command("hangup")
    closed = callee.expect("CALL_CLOSED")
    call_id = closed["id"]
    record = campus.record_of(call_id)
    expect_record(
        record,
        cause="completed",
        ended_by="caller",
        caller_line=first.id,
        callee_line=second.id,
        kinds=COMPLETED,
    )
