"""BYEs and probes from the middle, as each side expects them of the other."""

from __future__ import annotations

from typing import Any, Final

import pytest

from sipcore.calls import bye_request, bye_requests, probe_request
from sipcore.eventlog import Side
from sipcore.message import Request
from tests.sipcore.calls.examples import a_call, a_dialog

ANNA: Final = '"Anna" <sip:anna@campus.example>;tag=a'
BOB: Final = "<sip:bob@campus.example>;tag=b"
REASON: Final = 'SIP;cause=480;text="x"'


def said(request: Request) -> dict[str, Any]:
    return {
        "to": request.uri_text,
        "routes": request.values("route"),
        "from": request.first("from"),
        "to_value": request.first("to"),
        "cseq": (request.cseq_number, request.cseq_method),
    }


FOR_CALLEE: Final = {
    "to": "sip:bob@192.0.2.2",
    "routes": ["<sip:after.example;lr>", "<sip:far.example;lr>"],
    "from": ANNA,
    "to_value": BOB,
}
FOR_CALLER: Final = {
    "to": "sip:anna@192.0.2.1",
    "routes": ["<sip:before.example;lr>"],
    "from": BOB,
    "to_value": ANNA,
}


@pytest.mark.section("3261 15.1.1", "3261 12.2.1.1")
@pytest.mark.parametrize(
    ("side", "adopted", "expected", "cseq"),
    [
        (Side.CALLEE, False, FOR_CALLEE, 8),
        (Side.CALLER, False, FOR_CALLER, 4),
        (Side.CALLEE, True, FOR_CALLEE, 1008),  # requests since the last journal row are unknown
        (Side.CALLER, True, FOR_CALLER, 1004),
    ],
)
def test_a_bye(side: Side, adopted: bool, expected: dict[str, Any], cseq: int) -> None:
    call, dialog = a_call(), a_dialog(callee_cseq=3)
    call.adopted = adopted
    bye = bye_request(call, dialog, side, REASON)
    assert said(bye) == expected | {"cseq": (cseq, "BYE")}
    assert (bye.method, bye.call_id, bye.first("reason")) == ("BYE", "id of ctx", REASON)
    assert bye.max_forwards == 70
    assert not bye.has("via")  # the sender adds its own


def test_both_sides_get_a_bye_the_callee_first() -> None:
    sides = [(side, bye.uri_text) for side, bye in bye_requests(a_call(), a_dialog(), REASON)]
    assert sides == [(Side.CALLEE, "sip:bob@192.0.2.2"), (Side.CALLER, "sip:anna@192.0.2.1")]


@pytest.mark.section("3261 11")
@pytest.mark.parametrize("adopted", [False, True])
@pytest.mark.parametrize(
    ("side", "expected", "cseq"), [(Side.CALLEE, FOR_CALLEE, 7), (Side.CALLER, FOR_CALLER, 3)]
)
def test_a_probe_has_the_last_number(
    side: Side, expected: dict[str, Any], cseq: int, adopted: bool
) -> None:
    call = a_call()
    call.adopted = adopted
    probe = probe_request(call, a_dialog(callee_cseq=3), side)
    assert said(probe) == expected | {"cseq": (cseq, "OPTIONS")}
    assert probe.first("accept") == "application/sdp"


@pytest.mark.section("3261 8.1.1.5")
@pytest.mark.parametrize("last", [0xFFFF_FFFE, 0xFFFF_FFFF])
def test_no_number_is_beyond_what_can_be_read(last: int) -> None:
    bye = bye_request(a_call(), a_dialog(caller_cseq=last), Side.CALLEE, REASON)
    assert bye.cseq_number == 0xFFFF_FFFF
