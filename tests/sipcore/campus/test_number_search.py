"""For which requests the DNS is asked whom a number reaches."""

from __future__ import annotations

from typing import Final

import pytest

from sipcore.apps.campus.enum import number_to_ask_for
from sipcore.apps.campus.identity import STRANGER, Caller
from sipcore.directory import Account
from sipcore.message import parse_uri
from sipcore.routing import Fork, Plan, Refuse, Relay, Service, Target

BOB: Final = Account(2, "bob", "campus.example")
ANNA: Final = Caller(Account(1, "anna", "campus.example"), None)
PEER: Final = Caller(None, None, "peer.example")
UNKNOWN: Final = Refuse(404)
NUMBER: Final = "+4930123456"
E164: Final = "e164.arpa"


@pytest.mark.section("6116 3.2")
@pytest.mark.parametrize(
    ("suffix", "uri", "caller", "plan", "number"),
    [
        (E164, f"tel:{NUMBER}", ANNA, UNKNOWN, NUMBER),
        (E164, f"tel:{NUMBER}", PEER, UNKNOWN, NUMBER),
        (E164, "tel:+49-30-(123)456", ANNA, UNKNOWN, NUMBER),
        (E164, "sip:+49-30-123456@campus.example;user=phone", ANNA, UNKNOWN, NUMBER),
        (E164, f"sip:{NUMBER}@campus.example", ANNA, UNKNOWN, NUMBER),
        # Nobody is asked where that is switched off, or for a stranger.
        ("", f"tel:{NUMBER}", ANNA, UNKNOWN, ""),
        (E164, f"tel:{NUMBER}", STRANGER, UNKNOWN, ""),
        # Only for what nobody here has.
        (E164, f"tel:{NUMBER}", ANNA, Refuse(480), ""),
        (E164, f"tel:{NUMBER}", ANNA, Refuse(403), ""),
        (E164, f"tel:{NUMBER}", ANNA, Refuse(404, callee=BOB), ""),
        (E164, f"tel:{NUMBER}", ANNA, Fork(BOB, ()), ""),
        (E164, f"tel:{NUMBER}", ANNA, Relay(Target("sip:x@y")), ""),
        (E164, f"tel:{NUMBER}", ANNA, Service("echo"), ""),
        # Only for a full number.
        (E164, "tel:1001", ANNA, UNKNOWN, ""),
        (E164, "tel:1001;phone-context=campus.example", ANNA, UNKNOWN, ""),
        (E164, "tel:123456;phone-context=+4930", ANNA, UNKNOWN, NUMBER),
        (E164, "sip:nobody@campus.example", ANNA, UNKNOWN, ""),
        (E164, "sip:+nobody@campus.example", ANNA, UNKNOWN, ""),
        (E164, "tel:+49*30", ANNA, UNKNOWN, ""),
        (E164, "tel:+", ANNA, UNKNOWN, ""),
        # Never for an emergency, though its number with a context is a full one.
        (E164, "tel:112;phone-context=+49", ANNA, UNKNOWN, ""),
    ],
)
def test_the_number_to_ask_for(
    suffix: str, uri: str, caller: Caller, plan: Plan, number: str
) -> None:
    assert number_to_ask_for(suffix, parse_uri(uri), caller, plan) == number
